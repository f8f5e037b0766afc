"""The stage of the table: servers and keys, made once."""

import os

import pytest

# A row waits more than it computes.
LANES = 3 * (os.cpu_count() or 1)


@pytest.fixture(scope="module")
def outcomes(sandbox, tmp_path_factory, request):
    """The outcome of each row that this run selected, by name."""
    from tests.fleet.openssh.material import Material
    from tests.fleet.openssh.servers import Farm
    from tests.fleet.openssh.stage import Stage, play_all

    chosen = [
        item.callspec.params["row"]
        for item in request.session.items
        if item.path == request.path and "row" in item.fixturenames
    ]
    keys = tmp_path_factory.mktemp("k")
    material = Material(keys)
    try:
        farm = Farm(sandbox, "sandbox-1", material)
        try:
            stage = Stage(farm, LANES, tmp_path_factory.mktemp("rows"))
            try:
                return play_all(stage, chosen, LANES)
            finally:
                stage.close()
        finally:
            farm.close()
    finally:
        material.close()
