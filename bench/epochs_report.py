"""How are measured trainings and predictions shown? Tables, and a picture."""

from pathlib import Path
from typing import Any

from bench.contest import with_spread

COLORS = {"engine": "#0072b2", "torch": "#d55e00", "sklearn": "#e69f00"}


def _bound(one: dict[str, Any]) -> str:
    if one["bound"] is None:
        return ""
    return f"at least {one['bound']:g} is wanted"


def line(name: str, run: dict[str, Any]) -> str:
    """One run, while the others are still to come."""
    return f"{name}: " + "  ".join(f"{who} {one['seconds']['median']:.4g} s" for who, one in run["reached"].items())


def table(result: dict[str, Any]) -> str:
    """Seconds, losses, accuracies and ratios of everyone's trainings, and microseconds of predictions."""
    who = result["contestants"]
    lines = [
        f"Trainings, {result['dtype']}, {result['threads']} threads each: medians of {result['rounds']} rounds ± half "
        "the distance of the quartiles.",
        "ratio: the peer / engine; above 1 the engine is faster. Losses (of the last epoch) and accuracies (of the "
        "test part) are means.",
    ]
    for run in result["runs"].values():
        data = result["data"][run["data"]]
        dropout = f", dropout {run['dropout']:g}" if run["dropout"] else ""
        lines += [
            "",
            f"{run['name']}: {'-'.join(map(str, run['sizes']))}{dropout}, {run['optimizer']}, learning rate "
            f"{run['learning_rate']:g}, batch {run['batch']}, epochs {run['epochs']}; {data['source']}, "
            f"{data['samples']} samples",
            f"  {'':<16}{'seconds':>16}{'loss':>10}{'accuracy':>10}{'ratio':>8}",
        ]
        for name, one in run["reached"].items():
            ratio = run["ratio"].get(name)
            shown = "" if ratio is None else f"{ratio['ratio']:.2f}"
            told = [] if ratio is None else [_bound(ratio), "" if ratio["same"] else "it trains something else"]
            lines.append(
                f"  {who[name]['label']:<16}{with_spread(one['seconds']):>16}{one['loss']:>10.4f}"
                f"{one['accuracy']:>10.4f}{shown:>8}  {'; '.join(filter(None, told))}".rstrip()
            )
        lines += [f"  {who[name]['label']:<16}left out: {reason}" for name, reason in run["left_out"].items()]
    if result["prediction"] is not None:
        lines += ["", *_predictions(result)]
    lines.append("")
    for one in who.values():
        facts = ", ".join(f"{key} {value}" for key, value in one.items() if key not in ("label", "version"))
        lines.append(f"{one['label']}: {one['version']}; {facts}")
    lines += [f"missing: {label}: {reason}" for label, reason in result["missing"].items()]
    return "\n".join(lines)


def _predictions(result: dict[str, Any]) -> list[str]:
    predicted, who = result["prediction"], result["contestants"]
    batches = [str(batch) for batch in predicted["batches"]]
    lines = [
        f"Prediction by the net of {predicted['net']}: microseconds of one batch that is there as a tensor",
        f"  {'batch':<32}" + "".join(f"{batch:>15}" for batch in batches) + f"{'test part':>16}",
    ]
    shown: set[str] = set()
    for way, times in predicted["microseconds"].items():
        name, _, how = way.partition(" ")
        whole = predicted["whole"][name]["median"] if name not in shown else None
        shown.add(name)
        cells = "".join(f"{with_spread(times[batch]):>15}" for batch in batches)
        lines.append(f"  {who[name]['label'] + ', ' + how:<32}{cells}" + ("" if whole is None else f"{whole:>16.0f}"))
    if predicted["ratio"]:
        ratios = [predicted["ratio"][batch] for batch in batches]
        lines.append(f"  {'PyTorch no_grad / captured':<32}" + "".join(f"{one['ratio']:>15.2f}" for one in ratios))
        lines.append(f"  {'at least':<32}" + "".join(f"{one['bound']:>15.2f}" for one in ratios))
    lines.append("  test part: the whole of it, array to array: Trainer.predict, a loop under no_grad, predict_proba")
    lines += [f"  {who[name]['label']}: left out: {reason}" for name, reason in predicted["left_out"].items()]
    return lines


def draw(result: dict[str, Any], path: Path) -> None:
    """Left the seconds of each training as bars, right the microseconds of a prediction against its batch."""
    from matplotlib.figure import Figure  # only where a picture is drawn
    from matplotlib.ticker import LogLocator, NullLocator

    who, runs = result["contestants"], result["runs"]
    figure = Figure(figsize=(17, 5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    width = 0.8 / max(len(who), 1)
    for number, (name, one) in enumerate(who.items()):
        places = [
            at + (number - (len(who) - 1) / 2) * width for at, run in enumerate(runs.values()) if name in run["reached"]
        ]
        heights = [run["reached"][name]["seconds"]["median"] for run in runs.values() if name in run["reached"]]
        bars = left.bar(places, heights, width, label=one["label"], color=COLORS[name])
        labels = [
            f"{height:.3g} s" + (f"\n{run['ratio'][name]['ratio']:.1f}x" if name in run["ratio"] else "")
            for height, run in zip(heights, (run for run in runs.values() if name in run["reached"]), strict=True)
        ]
        left.bar_label(bars, labels, fontsize=7, padding=2)
    left.set_yscale("log")
    left.margins(y=0.15)
    left.set_xticks(range(len(runs)), [f"{run['name']}\nepochs: {run['epochs']}" for run in runs.values()], fontsize=8)
    left.set_ylabel("seconds of a training")
    left.set_title(f"Training, {result['threads']} threads; x: times the engine's")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=len(who))  # below: bars reach everywhere else
    predicted = result["prediction"]
    if predicted is None:
        right.set_axis_off()
    else:
        for way, times in predicted["microseconds"].items():
            name, _, how = way.partition(" ")
            batches = [int(batch) for batch in times]
            right.plot(
                batches,
                [one["median"] / int(batch) for batch, one in times.items()],
                label=f"{who[name]['label']}, {how}",
                color=COLORS[name],
                linestyle="-" if how in ("captured", "no_grad", "predict_proba") else ":",
                marker="o",
                markersize=3,
            )
        right.set_xscale("log")
        right.set_yscale("log")
        right.xaxis.set_minor_locator(NullLocator())
        right.set_xticks(predicted["batches"], [f"{batch:,}" for batch in predicted["batches"]])
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_minor_locator(NullLocator())
        right.yaxis.set_major_formatter("{x:g}")
        right.set_xlabel("samples in the batch")
        right.set_ylabel("microseconds a sample")
        right.set_title(f"Prediction by the net of {predicted['net']}")
        right.legend(fontsize=8)
    figure.savefig(path, dpi=150)
