"""What the command line prints of runs and verifications."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasfound.bundle.manifest import Verification
    from kerasfound.training import Run


def show_run(run: "Run") -> None:
    """What a finished run reached, and where it is."""
    numbers = "  ".join(f"{name.replace('_', '-')} {value:.4f}" for name, value in run.results["test"].items())
    print(f"test  {numbers}")
    print(f"run folder: {run.folder}")
    print(f"report: {run.report_file}")
    print(f"next: kerasfound export {run.folder}")


def show_verification(bundle: Path, checks: "list[Verification]") -> None:
    """How each file of a bundle answered beside the trained model."""
    for check in checks:
        print(
            f"{check.format}: {check.num_inputs} inputs at batch {', '.join(map(str, check.batch_sizes))}; "
            f"largest difference {check.max_scaled_difference:.1e} (allowed {check.tolerance:.0e}), "
            f"equal decisions {check.equal_decisions:.1%}"
        )
    print(f"verified: {bundle}")
