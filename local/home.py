"""Where the local stack keeps everything that is its own."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STACK_NAME = "Meterline-local"
# What the synthesized app is made from.
SOURCES = ("infra", "functions", "shared", "web", "requirements", "cdk.json")


@dataclass(frozen=True)
class Home:
    """Folders and files of one local stack."""

    path: Path

    @property
    def stack_json(self) -> Path:
        """Addresses and keys for whoever uses the stack."""
        return self.path / "stack.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def progress(self) -> Path:
        """How far each stream mapping has come."""
        return self.path / "state" / "streams"

    @property
    def assembly(self) -> Path:
        """The synthesized app."""
        return self.path / "cdk.out"

    @property
    def template(self) -> Path:
        return self.assembly / f"{STACK_NAME}.template.json"

    @property
    def deployed(self) -> Path:
        """Digest of the sources that are deployed; it is data of the emulator's, like tables."""
        return self.path / "state" / "deployed"

    def process(self, name: str) -> Path:
        return self.path / f"{name}.process.json"


def default_home() -> Home:
    """`.local` in the repository, or where METERLINE_LOCAL_DIR says."""
    return Home(Path(os.environ.get("METERLINE_LOCAL_DIR", REPOSITORY / ".local")).resolve())


def sources_digest() -> str:
    """A digest of everything the synthesized app is made from."""
    digest = hashlib.sha256()
    for source in SOURCES:
        path = REPOSITORY / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(REPOSITORY)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
