"""The scores as a table on the terminal."""

from __future__ import annotations

from typing import Any


def print_table(metrics: dict[str, Any]) -> None:
    """Prints the content of ``metrics.json``."""
    frames = metrics["frames"]
    print(metrics["model"]["description"])
    print(
        f"{frames['scored']} frames scored; {frames['without_labels']} without labels, "
        f"{frames['labels_without_frame']} labels without a frame, {frames['out_of_order']} out of order, "
        f"unusable: {frames['unusable'] or 'none'}"
    )
    if metrics["interrupted"]:
        of = "" if frames["expected"] is None else f" of about {frames['expected']}"
        print(f"INTERRUPTED after {frames['scored']}{of} frames")
    for protocol, result in metrics["protocols"].items():
        print(f"\nprotocol {protocol}: {result['meaning']}")
        print(f"  {'class':<16}{'IoU %':>8}{'acc %':>8}{'pixels':>12}")
        for name, entry in result["classes"].items():
            print(f"  {name:<16}{percent(entry['iou']):>8}{percent(entry['accuracy']):>8}{entry['pixels']:>12}")
        print(f"  mIoU % {percent(result['mean_iou'])} (95 % over frames:{_range(result['mean_iou_interval_95'])}); "
              f"reference's variant {percent(result['mean_iou_reference'])}")  # fmt: skip
        if result["mean_iou_interval_95_over_bags"]:
            print(f"  95 % over bags:{_range(result['mean_iou_interval_95_over_bags'])}")
        print(f"  pixel accuracy {percent(result['pixel_accuracy'])}, "
              f"mean accuracy {percent(result['mean_accuracy'])}, "
              f"frequency-weighted IoU {percent(result['frequency_weighted_iou'])}")  # fmt: skip
        print(f"  boundary IoU {percent(result['boundary_iou']['mean'])} (strips of 2 % of the diagonal)")
        share = result["predicted_share"]
        if share is not None and share < 1:
            print(f"  {percent(1 - share)} % of the pixels have no measurement and count as misses; "
                  f"without them mIoU would be {percent(result['mean_iou_where_predicted'])}")  # fmt: skip
    if metrics["calibration"]["bins"]:
        print(f"\nexpected calibration error {percent(metrics['calibration']['expected_calibration_error'])} %, "
              f"area under the risk-coverage curve {percent(metrics['risk_coverage']['area'])} %")  # fmt: skip
    latency = metrics["latency_ms"]
    if latency:
        print(
            f"\nencode + segment: median {latency['median']:.1f} ms, p90 {latency['p90']:.1f}, p99 {latency['p99']:.1f}"
        )
    if len(metrics["bags"]) > 1:
        _print_bags(metrics)


def percent(value: float | None) -> str:
    """A share in percent, seven characters wide."""
    return "     - " if value is None else f"{100 * value:7.2f}"


def _range(interval: list[float] | None) -> str:
    return " -" if interval is None else f"{percent(interval[0])} to{percent(interval[1])}"


def _print_bags(metrics: dict[str, Any]) -> None:
    protocol = next(iter(metrics["protocols"]))
    print(f"\n  {'mIoU %':>7}{'frames':>8}  bag ({protocol})")
    for bag in metrics["bags"]:
        if "protocols" in bag:
            marked = " (interrupted)" if bag["status"] == "interrupted" else ""
            print(
                f"  {percent(bag['protocols'][protocol]['mean_iou'])}{bag['frames']['scored']:>8}  {bag['bag']}{marked}"
            )
        else:
            print(f"  {bag['status']:>15}  {bag['bag']}" + (f": {bag['error']}" if bag["error"] else ""))
