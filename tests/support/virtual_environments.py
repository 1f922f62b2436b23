"""A virtual environment in which pip installs and removes packages, and the one that runs the tests stays as it is."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

OPTIONS = {
    "install": ("--no-deps", "--no-build-isolation", "--no-index"),
    "uninstall": ("-y",),
}
"""Of pip's commands: nothing is downloaded, and nobody is asked."""


@dataclass(frozen=True)
class VirtualEnvironment:
    """The interpreter of a virtual environment, and ``bench`` in it."""

    python: Path
    bench: Path

    def pip(self, command: str, *packages: object) -> None:
        """Install or uninstall packages, with our pip and setuptools: those of a venv may be too old for each other."""
        words = ["--python", str(self.python), "--quiet", command, *OPTIONS[command], *map(str, packages)]
        subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=300)

    def pytest(self, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run tests in a folder."""
        command = [str(self.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, arguments)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)


def make_virtual_environment(folder: Path) -> VirtualEnvironment:
    """Make a virtual environment that sees the packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python, bench = folder / "bin" / "python", folder / "bin" / "bench"
    program = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    Path(done.stdout.strip(), "ours.pth").write_text(ours, encoding="utf-8")
    bench.write_text(f"#!{python}\nfrom benchbench.cli.main import main\n\nmain()\n", encoding="utf-8")
    bench.chmod(0o755)
    return VirtualEnvironment(python, bench)
