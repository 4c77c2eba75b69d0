"""What the command line prints about runs, verifications and quantization."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from kerasfound.rounding import format_number
from kerasfound.wording import counted

if TYPE_CHECKING:
    from kerasfound.bundle.manifest import Baseline, Quantization, Verification
    from kerasfound.training import Run


def show_run(run: "Run") -> None:
    """Print the test metrics of a finished run and its files."""
    print(f"test  {_format_metrics(run.results['test'])}")
    if baseline := run.baseline:
        print(f"baseline ({baseline.name})  {_format_metrics(baseline.metrics)}")
        show_verdict(baseline)
    if decisions := run.decisions:
        for row in decisions.thresholds[1:]:
            print(
                f"{decisions.positive!r} from probability {row.threshold:.3f} on ({row.choice})  precision "
                f"{row.precision:.4f}  recall {row.recall:.4f}  F1 {row.f1:.4f} "
                f"(F1 {decisions.always_positive.f1:.4f} {decisions.always_positive.choice})"
            )
    print(f"run folder: {run.folder}")
    print(f"report: {run.report_file}")
    print(f"next: kerasfound export {run.folder}")


def show_scores(run: "Run") -> None:
    """Print a line: the run, its data, and the first test metric next to that of the baseline."""
    (name, value), *_ = run.results["test"].items()
    baseline = run.baseline
    of_baseline = f"  ({format_number(baseline.metrics[name])} without a model)" if baseline else ""
    data = Path(run.environment["data"]["name"]).name
    print(f"{run.folder!s:<46}{data:<24}{name.replace('_', '-')} {format_number(value)}{of_baseline}")


def show_verdict(baseline: "Baseline") -> None:
    """Say so if a model is not better than its baseline."""
    if baseline.verdict:
        print(f"note: the model is {baseline.verdict}")


def _format_metrics(metrics: dict[str, float]) -> str:
    return "  ".join(f"{name.replace('_', '-')} {format_number(value)}" for name, value in metrics.items())


def show_verification(bundle: Path, checks: "list[Verification]", skipped: Iterable[str] = ()) -> None:
    """Print how much the outputs of each file of a bundle differ from the trained model."""
    for check in checks:
        print(
            f"{check.format}: {counted(check.num_inputs, 'input')} at batch {', '.join(map(str, check.batch_sizes))}; "
            f"largest difference {check.max_scaled_difference:.1e} (allowed {check.tolerance:.0e}), "
            f"equal decisions {check.equal_decisions:.1%}"
        )
    for name in skipped:
        library = "ONNX Runtime" if name.startswith("onnx") else "TensorFlow"
        print(f"{name}: skipped, because {library} is not installed here")
    print(f"verified: {bundle}")


def show_quantization(quantization: "Quantization") -> None:
    """Print the metric, the size and the speed of the int8 model next to those of the original."""
    print(
        f"int8 ({quantization.scheme}): {quantization.metric} {quantization.score_after:.4f} instead of "
        f"{quantization.score_before:.4f} on {counted(quantization.rows, 'test row')}, "
        f"{quantization.bytes_after / quantization.bytes_before:.2f} times the bytes, "
        f"{quantization.milliseconds_after / quantization.milliseconds_before:.2f} times the time for one row"
    )
