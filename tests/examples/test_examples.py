"""Every lesson runs and shows a figure; the first five prove what they teach."""

import math
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LESSONS = sorted((REPOSITORY / "examples").glob("[0-9]*.py"))
NUMBERS = [int(script.name[:2]) for script in LESSONS]


def test_lessons_are_numbered_through():
    assert list(range(1, 12)) == NUMBERS


@pytest.mark.parametrize("script", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_a_page(script):
    text = script.read_text()
    title = re.match(r'r?"""\n?(.+)\n(=+)\n', text)
    assert title, "a lesson begins with its title, underlined"
    assert title[1].startswith(f"Lesson {int(script.name[:2])}:")
    assert len(title[1]) == len(title[2])
    assert text.count("\n# %%\n") >= 3
    assert "pyplot" not in text
    labels = set(re.findall(r"^\$\$ \(([\w-]+)\)$", (REPOSITORY / "docs" / "mathematics.md").read_text(), re.M))
    assert set(re.findall(r":eq:`([^`]+)`", text)) <= labels


# the others run in test_inference_examples.py: files are what the tests are dealt out by, to processes that would
# each run the lessons of the other
@pytest.mark.parametrize("number", range(1, 6))
def test_a_lesson_runs(lesson, number):
    lesson(number).check()


def test_the_lessons_take_two_minutes_together(lesson):
    assert sum(lesson(number).seconds for number in range(1, 6)) < 120


def test_1_a_prior_knows_what_it_has_heard(lesson):
    five_lines, of_the_package = lesson(1).numbers(r"five lines (\S+), by AudioVAE (\S+)")
    assert five_lines == pytest.approx(of_the_package, rel=1e-6)
    assert lesson(1).numbers(r"minus exponential: (\S+);") == [pytest.approx(-math.log(math.pi), abs=2e-4)]
    assert lesson(1).numbers(r"difference of the gradients: (\S+)")[0] < 1e-5
    for talker, better in (("the same talker", 1), ("another talker", 2)):
        spectrum, here, shipped = lesson(1).numbers(
            talker + r" *: long-term spectrum (\S+), trained here (\S+), shipped A-VAE (\S+)"
        )
        assert max(spectrum, here, shipped) == (here if better == 1 else shipped)
        assert spectrum == min(spectrum, here, shipped)
    rising = lesson(1).numbers(r"draws averaged: 1: (\S+), 10: (\S+), 200: (\S+)")
    assert rising == sorted(rising)


def test_2_reinforce_has_the_variance_that_was_derived(lesson):
    out = lesson(2).output
    assert "z     value (2, 60, 32), log-density (2, 60)" in out
    assert lesson(2).numbers(r"means differ by (\S+) standard errors")[0] < 1.5
    assert lesson(2).numbers(r"over the predicted one: median (\S+)") == [pytest.approx(1, abs=0.25)]
    middle, least, _ = lesson(2).numbers(r"over that of enumeration: median (\S+), from (\S+) to (\S+)")
    assert least > 1
    assert middle > 50
    ends = {name: float(end) for name, end in re.findall(r"(\w+) *: distance from the best .* -> (\S+)", out)}
    assert 2 * ends["enumerated"] < ends["REINFORCE"]
    assert "'alpha' is sampled, not enumerated" in out


def test_3_the_closed_form_is_the_best_responsibility(lesson):
    out = lesson(3).output
    assert lesson(3).numbers(r"search over r: largest difference (\S+)")[0] <= 1.5e-4
    assert lesson(3).numbers(r"log Z - L\(r\) - KL\(r \|\| r\*\): largest value (\S+)")[0] < 1e-8
    collapsed, elbo = lesson(3).numbers(r"sum of log Z (\S+), enumerated ELBO of Pyro (\S+) nats")
    assert collapsed == pytest.approx(elbo, abs=2e-6)
    assert lesson(3).numbers(r"relative difference (\S+)")[0] < 1e-10
    prices = [float(price) for price in re.findall(r"by epoch: (.+)", out)[0].split(", ")]
    assert prices[0] > 10 * max(prices[1:])
    assert min(prices) >= 0


def test_4_the_draw_has_the_variance_that_was_derived(lesson):
    out = lesson(4).output
    rows = re.findall(r"^ +\d +(\S+) +(\S+) +(\S+) \((\S+)\) +(\S+) +(\S+)$", out, re.M)
    assert len(rows) == 9
    for scale, mean, variance, derived, closed_mean, closed_variance in (map(float, row) for row in rows):
        assert variance == pytest.approx(derived, rel=0.1)
        assert closed_mean == pytest.approx(scale - 1 / scale, abs=6e-3)
        assert mean == pytest.approx(closed_mean, abs=0.1)
        assert closed_variance == 0
    by_hand, by_pyro = lesson(4).numbers(r"bound by hand (\S+), by AnalyticTraceEnum_ELBO (\S+) nats")
    assert by_hand == pytest.approx(by_pyro, rel=1e-12)
    ratios = [float(ratio) for ratio in re.findall(r"by the draw over closed form (\S+)", out)]
    assert len(ratios) == 8
    assert min(ratios[:2]) > 8


def test_5_conditioned_bounds_agree_to_the_last_digit(lesson):
    out = lesson(5).output
    for name, alpha in (("A-VAE", 1), ("V-VAE", 0)):
        (alone,) = re.findall(rf"^{name} +(\S+) +\S+ +\S+$", out, re.M)
        (given,) = re.findall(rf"^MIN-VAE given alpha = {alpha} +(\S+) ", out, re.M)
        assert float(given) == pytest.approx(float(alone), rel=1e-11)
    audio, visual, mixture = (float(value) for value in re.findall(r": +(\S+) nats a frame", out))
    assert mixture > max(audio, visual)
    assert lesson(5).numbers(r"worst frame: (\S+) nats")[0] <= 0.694
    assert lesson(5).numbers(r"gain of min-vae-s1 minus that of a-vae-s1: largest (\S+)") == [0]
