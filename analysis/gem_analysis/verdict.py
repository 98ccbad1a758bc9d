"""What the report says first: the verdict of a replay, or what there is in its place, and the figures that matter."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from .latency import relative_speeds
from .nouns import Adaptation, Mapping, Report
from .picture import less_or_more, percent
from .pictures.held_out import Ratios, ratios
from .results import Results
from .routing import skew
from .tables import slow_steps

# Largest output error that reordered sums explain (src/verification/report.cpp).
OUTPUT_TOLERANCE = {"f32": 1e-4, "bf16": 2e-2}


Badge: TypeAlias = tuple[str, bool]  # text, whether it warns


@dataclass
class Verdict:
    topic: str
    state: str
    tone: str  # colour: good, bad, unsure, quiet
    headline: str
    sentence: str
    badges: list[Badge] = field(default_factory=list)


@dataclass
class Tile:
    name: str
    value: str
    detail: str


def verdict_of(results: Results) -> Verdict:
    """The most that the files allow to say: measured, else predicted, else what the devices or the routing are like."""
    if results.report is not None:
        return _measured(results, results.report)
    if results.batch:
        return _batch(results)
    if results.adaptation is not None:
        return _followed(results.adaptation)
    topic = " · ".join(part for part in (results.model, results.scored.label if results.scored else "") if part)
    best, predicted = results.best_mapping, _predicted_ratios(results)
    if best is not None and predicted:
        return _predicted(results, topic, best, predicted)
    if results.profile is not None:
        speeds = relative_speeds(results.profile)
        return Verdict(
            topic,
            "DEVICES MEASURED",
            "quiet",
            f"The slowest of {len(speeds)} devices takes {100 * (1 / speeds.min() - 1):.1f} % longer than the fastest",
            "Over the loads that are heavy in compute. Nothing was mapped or verified yet.",
            _badges(results),
        )
    if results.scored is not None:
        return Verdict(
            topic,
            "ROUTING",
            "quiet",
            f"The busiest expert of the median layer gets "
            f"{np.median(skew(results.scored.counts, results.scored.experts)):.2f} times the mean load",
            "Nothing was measured, mapped or verified yet.",
        )
    assert best is not None  # collect() refuses results that hold nothing
    return Verdict(
        topic,
        "MAPPING",
        "quiet",
        f"A mapping by {best.name}",
        "Profile and trace are not here, so that nothing can be said of its worth.",
    )


def _followed(run: Adaptation) -> Verdict:
    totals = dict(zip(run.policies, run.total_s.sum(axis=1)))
    ratio = totals["triggered gem"] / totals["static gem"]
    how = "weights really moved" if run.moving else "moves are priced"
    badges = [(f"{run.device_kind} devices", run.device_kind == "simulated"), (how, not run.moving)]
    return Verdict(
        f"{run.header.model} · {run.tasks}",
        "DRIFT",
        "quiet",
        f"A placement that follows takes {less_or_more(ratio)} time than one that stays",
        f"Triggered gem against static gem over {run.step_s.shape[1]} steps, moves included; gem-adapt's own verdict has "
        "the interval.",
        badges + ([(run.device_note, True)] if run.device_note else []),
    )


def _badges(results: Results) -> list[Badge]:
    badges = []
    kind = results.report.device_kind if results.report else results.profile.device_kind if results.profile else ""
    note = results.device_note()
    if kind == "simulated":
        badges.append(("simulated devices", True))
    elif kind:
        badges.append((f"{kind} devices", False))
    if "emulated" in note:
        badges.append(("emulated speeds", True))
    if results.report and results.report.device_difference:
        badges.append(("not the profile's devices", True))
    if results.report and results.report.profile_doubts:
        badges.append(("doubtful profile", True))
    if results.report and results.report.sample_note:
        badges.append((results.report.sample_note, "held-out" not in results.report.sample_note))
    return badges


def _is_wrong(report: Report) -> bool:
    tolerance = OUTPUT_TOLERANCE.get(report.weight_dtype, OUTPUT_TOLERANCE["bf16"])
    return bool(np.any(report.wrong_values > 0) or np.any(np.nan_to_num(report.output_error) > tolerance))


# judged_by -> field of the summary, its name in headlines and in sentences
JUDGED = {
    "straggler": ("relative", "straggler time", "the slowest devices' time, summed over layers"),
    "layer": ("layer_relative", "time for whole layers", "whole layers' time, exchange included"),
    "step": ("relative", "time for an output token", "whole steps' time, attention and head included"),
}


def _measured(results: Results, report: Report) -> Verdict:
    m = report.judged_index
    name, first = report.names[m], report.names[0]
    summary = report.summary
    figure, time, what = JUDGED.get(report.judged_by, JUDGED["straggler"])
    if report.judged_by == "step" and report.whole_steps:
        summary = report.whole_steps.summary
    relative, low, high = (summary[field][m] for field in (figure, f"{figure}_low", f"{figure}_high"))
    devices = report.measured_s.shape[3]
    topic = " · ".join(
        part
        for part in (
            report.header.model,
            report.task,
            f"{devices} {report.device_kind} devices",
            f"{report.measured_s.shape[1]} steps of {report.tokens_per_step} tokens",
        )
        if part
    )
    interval = f"95 % interval {percent(low)} to {percent(high)}"
    if _is_wrong(report):
        return Verdict(
            topic,
            "WRONG",
            "bad",
            "Data did not arrive as sent, so that times mean nothing",
            "See the columns #wrong and error of the table.",
            _badges(results),
        )
    if high < 1:
        state, tone, headline = "FASTER", "good", f"{name} takes {less_or_more(relative)} {time} than {first}"
    elif low > 1:
        state, tone, headline = (
            "SLOWER",
            "bad",
            f"{name} takes {less_or_more(relative)} {time} than {first}: keep {first}",
        )
    else:
        state, tone, headline = "NOT PROVEN", "unsure", f"{name} may be no faster than {first}"
    sentence = f"Measured: {what}, changes by {percent(relative)} ({interval}, over steps). {results.device_note()}"
    return Verdict(topic, state, tone, headline, sentence.strip(), _badges(results))


def _batch(results: Results) -> Verdict:
    done = [pair for pair in results.batch if not pair.failure and not np.isnan(pair.ratio)]
    models, tasks = {pair.model for pair in results.batch}, {pair.task for pair in results.batch}
    settings = {pair.setting for pair in results.batch}
    parts = [(len(results.batch), "run"), (len(models), "model"), (len(tasks), "task"), (len(settings), "setting")]
    topic = " · ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in parts if word != "setting" or n > 1)
    if not done:
        return Verdict(topic, "BATCH", "bad", "No run has a result", "See what is missing below.")
    kinds = {(pair.device_kind, pair.speeds) for pair in done if pair.device_kind}
    badges = [
        (f"{kind} devices" if kind == "simulated" else f"{kind} devices, speeds {speeds}", speeds != "as they are")
        for kind, speeds in sorted(kinds)
    ]
    badges += [(note, "in-sample" in note) for note in sorted({pair.note for pair in done} - {""})]
    ratios = np.array([pair.ratio for pair in done])
    measured = [pair for pair in done if pair.is_measured]
    spread = (
        f"Median change of the slowest devices' time {percent(np.median(ratios))}, from {percent(ratios.min())} to "
        f"{percent(ratios.max())}. {results.device_note()}"
    ).strip()
    if len(done) < len(results.batch):
        spread += (
            f" {len(results.batch) - len(done)} of {len(results.batch)} runs have no result; the table names them."
        )
    faster = sum(pair.is_proven and pair.high < 1 for pair in measured)
    predicted = [pair.ratio for pair in done if not pair.is_measured]
    should = f"{sum(ratio <= 0.99 for ratio in predicted)} of {len(predicted)}"
    if not measured:
        headline = f"{should} runs should be 1 % faster than linear or more"
        return Verdict(topic, "BATCH, PREDICTED", "unsure", headline, spread, badges)
    if predicted:
        headline = (
            f"{faster} of {len(measured)} measured runs are faster than linear, {should} predicted ones should be"
        )
        return Verdict(topic, "BATCH, PARTLY PREDICTED", "unsure", headline, spread, badges)
    headline = f"{faster} of {len(done)} runs are faster than linear"
    return Verdict(topic, "BATCH", "good" if 2 * faster > len(done) else "unsure", headline, spread, badges)


def _predicted_ratios(results: Results) -> dict[str, Ratios]:
    fits = (
        results.profile is not None
        and results.scored is not None
        and results.mappings
        and results.scored.counts.shape[2] % results.profile.device_count == 0
    )
    return dict(ratios(results)) if fits else {}


def _predicted(results: Results, topic: str, mapping: Mapping, predicted: dict[str, Ratios]) -> Verdict:
    name = mapping.name if mapping.name in predicted else list(predicted)[-1]
    searched, held_out, _ = predicted[name]
    ratio, sample = (
        (searched, "in-sample: on requests that it may have been searched on")
        if np.isnan(held_out)
        else (held_out, "on requests it was never searched on")
    )
    return Verdict(
        topic,
        "PREDICTED, NOT MEASURED",
        "unsure",
        f"{name} should take {less_or_more(ratio)} straggler time than linear",
        f"Predicted from the profile, {sample}. gem-verify measures it. {results.device_note()}".strip(),
        _badges(results) + ([("in-sample", True)] if np.isnan(held_out) else [("held-out requests", False)]),
    )


def tiles_of(results: Results) -> list[Tile]:
    """A few figures for a quick look."""
    tiles = []
    report = results.report
    if report is not None:
        m, summary = report.judged_index, report.summary
        name, first = report.names[m], report.names[0]
        tiles.append(Tile("Straggler time", percent(summary["relative"][m]), f"{name} against {first}"))
        if not np.isnan(summary["layer_relative"][m]):
            low, high = (percent(summary[f"layer_relative_{end}"][m]) for end in ("low", "high"))
            detail = f"exchange and waiting too; {low} to {high}"
            tiles.append(Tile("Whole layers", percent(summary["layer_relative"][m]), detail))
        if report.whole_steps:
            steps = report.whole_steps.summary
            low, high = (percent(steps[f"relative_{end}"][m]) for end in ("low", "high"))
            tiles.append(Tile("Whole steps", percent(steps["relative"][m]), f"time per output token; {low} to {high}"))
        tiles.append(
            Tile(
                "Predicted",
                percent(summary["predicted_s"][m] / summary["predicted_s"][0]),
                f"steps within {100 * summary['median_error'][m]:.1f} % in the median",
            )
        )
        tail, tail_s = slow_steps(report)
        steps = report.measured_s.shape[1]
        shown = ("Slowest 1 % of steps", "99th percentile") if tail == "p99" else ("Slowest step", f"of {steps} steps")
        tiles.append(Tile(shown[0], percent(tail_s[m] / tail_s[0]), shown[1]))
        idle = 100 * report.waiting_share
        tiles.append(Tile("Devices wait", f"{idle[m]:.1f} %", f"of the time; {first}: {idle[0]:.1f} %"))
    if results.profile is not None and (report is not None or results.mappings):
        speeds = relative_speeds(results.profile)
        emulated = np.any(results.profile.slowdowns != 1) and results.profile.device_kind != "simulated"
        kind = "simulated" if results.profile.device_kind == "simulated" else "emulated" if emulated else "measured"
        tiles.append(Tile("Spread of devices", f"{100 * (1 / speeds.min() - 1):.1f} %", f"slowest to fastest, {kind}"))
    best = results.best_mapping
    if best is not None and np.nansum(best.lower_bound_s) > 0:
        gap = np.nansum(best.predicted_s) / np.nansum(best.lower_bound_s) - 1
        tiles.append(Tile("Above the bound", f"{100 * gap:.1f} %", f"{best.name}, on the steps searched on"))
    return tiles
