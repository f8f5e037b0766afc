"""All faults, by name."""

from tests.faults.people_faults import PEOPLE, SUDO
from tests.faults.process_faults import PROCESSES
from tests.faults.service_faults import SERVICES
from tests.faults.storage_faults import DATABASE, FILE_SYSTEMS, GIT

FAULTS = {
    fault.name: fault
    for fault in (*PROCESSES, *SERVICES, *FILE_SYSTEMS, *DATABASE, *GIT, *PEOPLE, *SUDO)
}
