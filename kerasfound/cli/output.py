"""What the command line prints about runs, verifications and quantization."""

from pathlib import Path
from typing import TYPE_CHECKING

from kerasfound.rounding import format_number

if TYPE_CHECKING:
    from kerasfound.bundle.manifest import Quantization, Verification
    from kerasfound.training import Run


def show_run(run: "Run") -> None:
    """Print the test metrics of a finished run and its files."""
    metrics = "  ".join(
        f"{name.replace('_', '-')} {format_number(value)}" for name, value in run.results["test"].items()
    )
    print(f"test  {metrics}")
    print(f"run folder: {run.folder}")
    print(f"report: {run.report_file}")
    print(f"next: kerasfound export {run.folder}")


def show_verification(bundle: Path, checks: "list[Verification]") -> None:
    """Print how much the outputs of each file of a bundle differ from the trained model."""
    for check in checks:
        print(
            f"{check.format}: {check.num_inputs} inputs at batch {', '.join(map(str, check.batch_sizes))}; "
            f"largest difference {check.max_scaled_difference:.1e} (allowed {check.tolerance:.0e}), "
            f"equal decisions {check.equal_decisions:.1%}"
        )
    print(f"verified: {bundle}")


def show_quantization(quantization: "Quantization") -> None:
    """Print the metric, the size and the speed of the int8 model next to those of the original."""
    print(
        f"int8 ({quantization.scheme}): {quantization.metric} {quantization.score_after:.4f} instead of "
        f"{quantization.score_before:.4f} on {quantization.rows} test rows, "
        f"{quantization.bytes_after / quantization.bytes_before:.2f} times the bytes, "
        f"{quantization.milliseconds_after / quantization.milliseconds_before:.2f} times the time for one row"
    )
