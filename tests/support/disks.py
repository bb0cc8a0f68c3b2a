"""File systems that fail. They need root; where no test must be left out, that is an error."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

# Of Linux, <linux/fs.h>: stop a file system's writes as a card does that collects its garbage, let
# them go on, and end them at once as a power cut does, with nothing of what is not flushed.
FIFREEZE, FITHAW, SHUTDOWN = 0xC0045877, 0xC0045878, 0x8004587D
_NO_LOG_FLUSH = struct.pack("I", 2)


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path, *mount: str) -> None:
        self.folder = folder
        self._mount = mount
        folder.mkdir()
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", *self._mount, self.folder], check=True, timeout=300)

    def unmount(self) -> None:
        subprocess.run(["umount", self.folder], check=True, timeout=300)

    def fill(self) -> None:
        with (
            (self.folder / "filling").open("ab", buffering=0) as file,
            contextlib.suppress(OSError),
        ):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        (self.folder / "filling").unlink()

    def cut_power(self) -> None:
        """End all writing at once; the process that writes lives on, to be killed."""
        self.control(SHUTDOWN, _NO_LOG_FLUSH)

    def power_up(self) -> None:
        """Mount what has reached the card."""
        self.unmount()
        # A copy: the kernel may still know the image as the one that was shut down.
        options, image = self._mount[:-1], Path(self._mount[-1])
        copy = image.with_name(f"{image.stem}-again.img")
        shutil.copyfile(image, copy)
        image.unlink()
        self._mount = (*options, str(copy))
        self.mount()

    def control(self, request: int, argument: bytes = bytes(4)) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, request, argument)
        finally:
            os.close(folder)
