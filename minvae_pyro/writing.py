"""Files that appear whole or not at all."""

import os
import uuid
from pathlib import Path

from minvae_pyro.errors import UserError


def write_whole(path: str | os.PathLike[str], content: bytes, *, overwrite: bool = False) -> Path:
    """Write a file in one piece: an interrupted program leaves the old file, or none.

    Args:
        path: Where; its folder exists.
        content: What.
        overwrite: Replace a file that exists.

    Returns:
        The path.

    Raises:
        UserError: The file exists and is to be kept, its folder is missing, or it cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; choose a file name")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists and is kept: choose another name, or ask to overwrite")
    # In the same folder: only there does a rename happen in one step.
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): choose another folder") from error
    finally:
        if part.exists():
            part.unlink()
    return path
