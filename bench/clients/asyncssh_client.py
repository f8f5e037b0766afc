"""asyncssh: one coroutine for each host, all at once; key and known_hosts are read once."""

import asyncio
import json
import sys
from pathlib import Path

import asyncssh


async def main(settings: dict, count: int) -> None:
    key = asyncssh.read_private_key(settings["key"])
    known = asyncssh.read_known_hosts(settings["known_hosts"])

    async def one(host: dict) -> None:
        try:
            async with asyncssh.connect(
                host["address"],
                host["port"],
                username=settings["user"],
                client_keys=[key],
                known_hosts=known,
                config=None,
                agent_path=None,
                connect_timeout=settings["connect_timeout_s"],
            ) as connection:
                for _ in range(count):
                    done = await connection.run("uptime", check=True)
                    print(host["name"], done.stdout.strip(), flush=True)
        except (OSError, TimeoutError, asyncssh.Error) as error:
            print(host["name"], error, file=sys.stderr)

    await asyncio.gather(*map(one, settings["hosts"]))


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])))
