"""What must happen before a bundle can be built is known when it is asked for; what waits for that is no mistake."""

from __future__ import annotations

import pytest

from tram.bundle.assembly import BundleInvalid

from .bench import FAR, Bench
from .certificate import CERTIFICATE


@pytest.mark.slow
def test_the_host_is_asked_first_while_the_centre_has_nothing_of_it(bench: Bench) -> None:
    content = bench.write(CERTIFICATE).build()
    [first] = content.first
    assert (first.role, first.answered) == ("post", False)
    assert (first.host, first.centre) == (bench.folder / "playbooks/ask.yml", bench.folder / "playbooks/sign.yml")
    assert content.missing == (f"pki/{FAR}.crt",), "required, and no mistake while something is to come first"


@pytest.mark.slow
def test_the_host_is_not_asked_again_when_the_centre_has_what_it_returned(bench: Bench) -> None:
    bench.write(CERTIFICATE).keep({f"pki/{FAR}.csr": "request"})
    [first] = bench.build().first
    assert first.answered


@pytest.mark.slow
def test_nothing_comes_first_when_the_condition_does_not_hold(bench: Bench) -> None:
    bench.write(CERTIFICATE).keep({f"pki/{FAR}.csr": "request", f"pki/{FAR}.crt": "certificate"})
    content = bench.build()
    assert content.first == ()
    assert content.missing == ()


@pytest.mark.slow
def test_what_a_host_without_anything_to_come_first_requires_must_be_there(bench: Bench) -> None:
    bench.write(CERTIFICATE | {"roles/post/defaults/main.yml": "post_due: false\n"})
    with pytest.raises(BundleInvalid, match=f"the centre has no secret pki/{FAR}.crt for {FAR}"):
        bench.build()
