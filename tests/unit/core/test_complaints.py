"""Whoever reads why a task failed reads what the program said, not that it said something."""

from __future__ import annotations

from tram.core.complaints import complaints

NON_ZERO = "non-zero return code"


def test_a_proof_that_says_what_it_missed_on_standard_output_is_heard() -> None:
    printed = "one\ntwo\nthree\nfour\nwithout a certificate: 200 instead of 400\n"
    said = complaints({"msg": NON_ZERO, "rc": 1, "stdout": printed, "stderr": ""})
    assert said == [NON_ZERO, "three\nfour\nwithout a certificate: 200 instead of 400"]


def test_what_a_command_that_did_not_fail_printed_is_no_complaint() -> None:
    assert complaints({"msg": "not as wanted", "rc": 0, "stdout": "all is well"}) == ["not as wanted"]


def test_words_that_are_none_are_left_out() -> None:
    assert complaints({"msg": " ", "stderr": None, "rc": 2, "stdout": ["x"], "module_stderr": "Traceback\n"}) == [
        "Traceback"
    ]
