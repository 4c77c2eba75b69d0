"""Files and folders that appear whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to. It is renamed to `path` at the end, and removed after an error.

    A process that reads `path` meanwhile sees the old file or the new one, never a part of it.

    Args:
        path: the file, or a folder that does not exist or is empty, in a folder that exists. The path to write to has
            the same suffix.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(file) as part:
        ...     _ = part.write_text("complete")
        >>> file.read_text()
        'complete'
    """
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
        part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove the temporary files that killed processes left anywhere in a folder. No process may write to it now.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / ".part-4711-a.txt").write_text("incompl"), (folder / "a.txt").write_text("complete")
        >>> remove_parts(folder)
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    for part in folder.rglob(".part-*"):
        part.unlink()
