"""Pictures as files for papers: no label is cut or stands on another, whatever the names are."""

import os
import shutil
import unittest
import warnings

import support  # ends where matplotlib is missing

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from gem_analysis.page import draw_all
from gem_analysis.paper import draw_picture
from gem_analysis.results import collect
from odd_results import make_odd_report, write_odd_batch, write_odd_results


def labels_of(figure):
    """[(text, its box in pixels)] of all that isn't drawn among the data."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    texts = list(figure.texts)  # title and tag
    for axes in figure.axes:
        texts += [axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(limits)
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels())
            texts += [label for at, label in ticks if low <= at <= high]
        legend = axes.get_legend()
        if legend is not None and legend.get_window_extent(renderer).y1 < axes.get_window_extent(renderer).y0:
            texts += legend.get_texts()
    shown = [text for text in texts if text.get_visible() and text.get_text()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


def faults_of(figure):
    """What is cut, and what stands on something else by more than two pixels each way."""
    labels, faults = labels_of(figure), []
    for i, (text, box) in enumerate(labels):
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1:
            faults.append(f"{text!r} is cut")
        for other, its in labels[i + 1 :]:
            if min(box.x1, its.x1) > max(box.x0, its.x0) + 2 and min(box.y1, its.y1) > max(box.y0, its.y0) + 2:
                faults.append(f"{text!r} stands on {other!r}")
    return faults


class Labels(support.TestCase):
    def check(self, *paths):
        results = collect(list(paths))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of no room, say
            for title, drawn in draw_all(results)[0]:
                for name, picture in drawn:
                    with self.subTest(run=os.path.basename(paths[0]), picture=name):
                        figure = draw_picture(picture, {}, results.tag_of(title))
                        try:
                            self.assertEqual(faults_of(figure), [])
                        finally:
                            plt.close(figure)

    def test_of_usual_results(self):
        for run in ("simulated", "host", "whole", "drift", "regimes", ""):
            self.check(support.result(run))

    def test_of_odd_results(self):
        for seed in range(int(os.environ.get("GEM_ODD_RESULTS", "4"))):
            folder = self.path(f"odd-{seed}")
            write_odd_results(folder, seed)
            self.check(folder)
            report = self.path(f"report-{seed}.h5")
            shutil.copy(support.result("host", "report.h5"), report)
            make_odd_report(report, seed)
            self.check(report)
            write_odd_batch(self.path(f"batch-{seed}"), seed, support.result("host", "report.h5"))
            self.check(self.path(f"batch-{seed}"))


if __name__ == "__main__":
    unittest.main()
