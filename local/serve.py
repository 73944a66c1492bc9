"""The background process beside the emulator: the front address and the stream runner."""

import asyncio
import logging
import signal

from hypercorn.asyncio import serve
from hypercorn.config import Config

from local.deploy import outputs, resource_ids, template
from local.emulator import Aws
from local.front import MAXIMUM_HEADER_BYTES, Front
from local.home import Home
from local.streams.runner import StreamRunner

KEEP_ALIVE_SECONDS = 75


def run(home: Home, port: int, emulator_port: int) -> None:
    """Serve until SIGTERM; then the front ends first, and the runner keeps what is undelivered."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    aws = Aws(f"http://127.0.0.1:{emulator_port}")
    runner = StreamRunner(aws, resource_ids(aws), template(home), home.progress)
    runner.start()
    try:
        asyncio.run(_serve(Front(emulator_port, outputs(aws)["ApiId"]), port))
    finally:
        runner.stop()


async def _serve(front: Front, port: int) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    # The application counts headers itself; the parser only has to let it see them.
    config.h11_max_incomplete_size = 4 * MAXIMUM_HEADER_BYTES
    config.include_server_header = False
    config.include_date_header = False
    config.loglevel = "WARNING"
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    await serve(front, config, shutdown_trigger=stopping.wait)  # type: ignore[arg-type]
