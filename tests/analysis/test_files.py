"""The reader: what it reads is what is in the files; what is wrong in them it says in one sentence."""

import os
import signal
import unittest
import unittest.mock

import support

import h5py
import numpy as np

from gem_analysis import isolation
from gem_analysis.errors import DataError
from gem_analysis.files import Routing, read_file
from gem_analysis.hdf5_file import SEAL_BYTES
from gem_analysis.isolation import call_apart

KINDS = {"profile.h5": "simulated", "train.h5": "simulated", "gem.h5": "simulated", "report.h5": "simulated"}


class Reads(support.TestCase):
    def test_profile(self):
        profile = read_file(support.result("simulated", "profile.h5"))
        with h5py.File(support.result("simulated", "profile.h5")) as file:
            np.testing.assert_array_equal(profile.median_s, file["/latency/median"][:])
            np.testing.assert_array_equal(profile.tiles, file["/points/tiles"][:])
        self.assertEqual(profile.device_count, 4)
        np.testing.assert_allclose(profile.slowdowns, [1.0, 1.1, 1.2, 1.28])
        self.assertEqual(profile.device_kind, "simulated")

    def test_trace(self):
        trace = read_file(support.result("simulated", "train.h5"))
        self.assertEqual(trace.counts.shape, (24, 24, 32))
        self.assertTrue((trace.counts.sum(axis=2) == 64 * 4).all())
        self.assertEqual((trace.task, trace.part), ("gpqa", "train"))

    def test_mapping(self):
        mapping = read_file(support.result("simulated", "gem.h5"))
        self.assertEqual(mapping.method, "gem")
        self.assertTrue((np.sort(mapping.slots.reshape(24, 32), axis=1) == np.arange(32)).all())

    def test_report(self):
        report = read_file(support.result("host", "report.h5"))
        self.assertEqual(report.names, ["linear", "gem"])
        self.assertFalse(np.isnan(report.dispatch_s).any())
        self.assertTrue((report.move_s[1:] > 0).all())
        self.assertEqual(len(report.device_speeds), 2)
        self.assertTrue(0 < report.summary["waiting_share"][0] < 1)

    def test_a_profile_and_a_version_of_others(self):
        path = self.copy("simulated", "profile.h5")
        with h5py.File(path, "r+") as file:
            for name in ("device_kind", "weight_dtype", "hidden_size", "intermediate_size"):
                del file.attrs[name]
            file.attrs["format_version"] = 1
            file.attrs["model"] = np.array(["m"], dtype=object)
        profile = read_file(path)
        self.assertEqual((profile.device_kind, profile.hidden_size, profile.header.model), ("unknown", 0, "m"))

    def test_routing_is_known_but_not_drawn(self):
        path = self.path("routing.h5")
        with h5py.File(path, "w") as file:
            file.attrs.update({"format": "gem.routing", "format_version": "1.0", "model": "m"})
            file.attrs.update({"task": "t", "phase": "decode", "num_experts": 4, "top_k": 2})
            file["topk_ids"] = np.array([[[0, 3]], [[2, 1]]], np.uint8)
            file["request_offsets"] = [0, 2]
            file["layer_ids"] = [5]
        self.assertIsInstance(read_file(path), Routing)


def _set(name, position, value):
    def change(file):
        file[name][position] = value

    return change


def _replace(name, make):
    def change(file):
        values = make(file[name][...])
        del file[name]
        file[name] = values

    return change


def _attribute(name, value):
    def change(file):
        if value is None:
            del file.attrs[name]
        else:
            file.attrs[name] = value

    return change


def _delete(name):
    def change(file):
        del file[name]

    return change


# (file, what is done to it, words of the sentence)
BAD = [
    ("profile.h5", _attribute("format", None), ["'format' is missing"]),
    ("profile.h5", _attribute("format", "other.thing"), ["other.thing"]),
    ("profile.h5", _attribute("format_version", "2.0"), ["format_version", "2.0", "1.x"]),
    ("profile.h5", _attribute("tile_tokens", None), ["tile_tokens", "missing"]),
    ("profile.h5", _attribute("tile_tokens", np.int64(0)), ["tile_tokens", "0", "1 or more"]),
    ("profile.h5", _attribute("model", np.int64(3)), ["'model'", "text"]),
    ("profile.h5", _set("/latency/median", (1, 2), np.nan), ["/latency/median", "nan", "[1, 2]"]),
    ("profile.h5", _set("/latency/median", (0, 0), 0.0), ["/latency/median", "positive seconds"]),
    ("profile.h5", _set("/latency/p95", (0, 0), np.inf), ["/latency/p95", "inf"]),
    ("profile.h5", _replace("/latency/p95", lambda v: v[:, 1:]), ["/latency/p95", "extents"]),
    ("profile.h5", _set("/points/tiles", 0, -4), ["/points/tiles", "-4"]),
    ("profile.h5", _delete("/devices/name"), ["/devices/name", "missing"]),
    ("profile.h5", _replace("/devices/name", lambda v: np.arange(len(v))), ["/devices/name", "texts"]),
    ("train.h5", _replace("/counts", lambda v: v[0]), ["/counts", "extents"]),
    ("train.h5", _replace("/counts", lambda v: v.astype(float)), ["/counts", "whole tokens"]),
    ("train.h5", _replace("/counts", lambda v: v.astype(np.int64) - 1000), ["/counts", "0 or more"]),
    ("train.h5", _set("/layer_ids", 3, 0), ["/layer_ids", "twice"]),
    ("train.h5", _attribute("part", "half"), ["'part'", "half"]),
    ("gem.h5", _set("/expert_to_device", (2, 5), 9), ["/expert_to_device", "9", "[2, 5]"]),
    ("gem.h5", _set("/slots", (0, 0, 0), 99), ["/slots", "99"]),
    ("gem.h5", _set("/slots", (1, 0, 0), -1), ["/slots", "no slot for expert", "layer 1"]),
    ("report.h5", _set("/measured_s", (0, 0, 0, 0), -1.0), ["/measured_s", "-1"]),
    ("report.h5", _replace("/predicted_s", lambda v: v[:1]), ["/predicted_s", "extents"]),
    ("report.h5", _replace("/mappings", lambda v: v[:1]), ["/mappings", "extents"]),
    ("report.h5", _delete("/summary/relative"), ["/summary/relative", "missing"]),
]


class Refuses(support.TestCase):
    def check_sentence(self, path, words):
        with self.assertRaises(DataError) as caught:
            read_file(path)
        sentence = str(caught.exception)
        self.assertNotIn("\n", sentence)
        for word in [path, *words]:
            self.assertIn(word, sentence)

    def test_wrong_fields(self):
        for name, change, words in BAD:
            with self.subTest(name=name, words=words):
                path = self.copy("simulated", name)
                with h5py.File(path, "r+") as file:
                    change(file)
                self.check_sentence(path, words)

    def test_units(self):
        path = self.copy("simulated", "profile.h5")
        with h5py.File(path, "r+") as file:
            file["/latency/median"].attrs["units"] = "ms"
        self.check_sentence(path, ["/latency/median", "ms", "'s'"])

    def test_no_file_no_hdf5_empty_and_truncated(self):
        self.check_sentence(self.path("none.h5"), ["no such file"])
        self.check_sentence(self.folder, ["not a regular file"])
        for name, content, words in (("text.h5", b"hello", ["not an HDF5 file"]), ("empty.h5", b"", ["is empty"])):
            with open(self.path(name), "wb") as file:
                file.write(content)
            self.check_sentence(self.path(name), words)
        path = self.copy("simulated", "report.h5")
        os.truncate(path, os.path.getsize(path) // 2)
        self.check_sentence(path, ["damaged"])

    def test_links_out_of_the_file_are_not_followed(self):
        path = self.copy("simulated", "train.h5")
        with h5py.File(path, "r+") as file:
            del file["/counts"]
            file["/counts"] = h5py.ExternalLink(support.result("simulated", "test.h5"), "/counts")
        self.check_sentence(path, ["/counts", "missing"])

    def test_a_dataset_that_claims_too_much(self):
        path = self.copy("simulated", "train.h5")
        with h5py.File(path, "r+") as file:
            del file["/counts"]
            file.create_dataset("/counts", (1 << 20, 24, 32), np.uint32, chunks=(1 << 10, 24, 32))
        self.check_sentence(path, ["/counts", "claims"])

    def test_a_flipped_byte_is_refused(self):
        random = np.random.default_rng(2)
        for name, folder in KINDS.items():
            with open(support.result(folder, name), "rb") as file:
                whole = bytearray(file.read())
            for at in random.integers(8, len(whole) - SEAL_BYTES, 20):
                damaged = bytearray(whole)
                damaged[at] ^= 1 << int(random.integers(8))
                with open(self.path(name), "wb") as file:
                    file.write(damaged)
                with self.subTest(name=name, at=at), self.assertRaises(DataError):
                    read_file(self.path(name))

    # One of these files keeps the library busy for ever; whole ones are read in a fraction of a second.
    @unittest.mock.patch.object(isolation, "TIME_LIMIT_S", 10)
    def test_flipped_bytes_of_files_without_a_checksum_give_a_sentence_or_a_file(self):
        random = np.random.default_rng(1)
        for name, folder in KINDS.items():
            with open(support.result(folder, name), "rb") as file:
                whole = bytearray(file.read())[:-SEAL_BYTES]
            for _ in range(20):
                damaged = bytearray(whole)
                for at in random.integers(8, min(len(whole), 6000), 4):
                    damaged[at] ^= 1 << int(random.integers(8))
                with open(self.path(name), "wb") as file:
                    file.write(damaged)
                try:
                    call_apart(read_file, self.path(name))
                except DataError as error:
                    self.assertNotIn("\n", str(error))

    def test_a_crash_of_the_library_is_a_sentence(self):
        with self.assertRaises(DataError) as caught:
            call_apart(lambda path: os.kill(os.getpid(), signal.SIGSEGV), "some.h5")
        self.assertIn("some.h5", str(caught.exception))


class Exits(support.TestCase):
    def test_codes(self):
        for arguments, code in (
            (["report"], 2),
            ([], 2),
            (["report", "x.h5", "--format", "gif"], 2),
            (["report", "none.h5"], 3),
            (["report", self.folder], 3),
            (["report", "--layer", "x", self.folder], 2),
        ):
            with self.subTest(arguments=arguments):
                found, _, err = self.run_program(*arguments)
                self.assertEqual(found, code)
                self.assertEqual(err.count("\n"), 1, err)

    def test_a_bad_file_among_good_ones_is_named_and_the_rest_is_drawn(self):
        self.copy("simulated", "profile.h5")
        with open(self.path("broken.h5"), "wb") as file:
            file.write(b"not HDF5")
        code, _, err = self.run_program("report", self.folder)
        self.assertEqual(code, 3)
        self.assertIn("broken.h5", err)
        with open(self.path("report.html"), encoding="utf-8") as page:
            text = page.read()
        self.assertIn("broken.h5", text)
        self.assertIn("Speed of the devices", text)

    def test_a_bad_file_before_the_only_good_one_is_named_too(self):
        self.copy("simulated", "train.h5")
        with open(self.path("a.h5"), "wb") as file:
            file.write(b"not HDF5")
        code, _, err = self.run_program("report", self.folder)
        self.assertEqual(code, 3)
        self.assertIn("a.h5: is not an HDF5 file", err)
        self.assertTrue(os.path.exists(self.path("report.html")))

    def test_output_that_cannot_be_written(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        code, _, err = self.run_program(
            "report", support.result("simulated", "profile.h5"), "-o", self.path("file", "page.html")
        )
        self.assertEqual(code, 4)
        self.assertIn("page.html", err)

    def test_results_are_not_written_over(self):
        path = self.copy("simulated", "profile.h5")
        code, _, err = self.run_program("report", path, "-o", path)
        self.assertEqual(code, 2)
        self.assertIn("would destroy", err)
        read_file(path)


if __name__ == "__main__":
    unittest.main()
