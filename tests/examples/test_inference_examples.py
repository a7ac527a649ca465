"""What the lessons on inference, from the sixth on, print."""

import re

import pytest

OCCLUSIONS = ("right", "masked", "frozen", "shuffled", "late 100 ms", "late 400 ms", "foreign")
ENGINES = ("svi", "fast", "vem", "map", "mcem", "langevin")


@pytest.mark.parametrize("number", range(6, 12))
def test_a_lesson_runs(lesson, number):
    lesson(number).check()


def test_the_lessons_take_three_minutes_together(lesson):
    assert sum(lesson(number).seconds for number in range(6, 12)) < 180


def test_6_pyro_and_the_package_have_one_bound(lesson):
    ours, theirs = lesson(6).numbers(r"bound at the start: (\S+) by Pyro's own ELBO, (\S+) by")
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_6_the_step_of_the_noise_by_hand_is_that_of_the_package(lesson):
    assert lesson(6).numbers(r"largest relative difference (\S+)")[0] < 1e-4
    assert lesson(6).numbers(r"raises log p\(x \| z\) by (\S+) nats")[0] > 0


def test_6_objective_score_and_noise_get_better(lesson):
    out = lesson(6).output
    rows = re.findall(r"iteration +\d+: ELBO +(\S+) nats a frame, SI-SDR +(\S+) dB, noise +(\S+) dB off", out)
    objective, score, noise = ([float(value) for value in column] for column in zip(*rows, strict=True))
    assert len(rows) == 7
    assert objective == sorted(objective)
    assert score[-1] > score[0] > lesson(6).numbers(r"what is heard (\S+) dB")[0]
    assert noise[-1] < noise[0]
    before, after = lesson(6).numbers(r"noise spectrum: (\S+) dB off before, (\S+) dB after")
    assert after < before / 4


def test_6_the_engine_is_the_loop(lesson):
    engine, loop = lesson(6).numbers(r"engine svi: .* SI-SDR (\S+) dB; this loop: (\S+) dB")
    assert engine == pytest.approx(loop, abs=0.5)


def test_7_one_coefficient_keeps_its_gain(lesson):
    # a / (a + b) at (3.2, 0.5), (1.5, 1.0), (0.4, 1.9)
    expected = [pytest.approx(share, abs=5e-4) for share in (3.2 / 3.7, 0.6, 0.4 / 2.3)]
    assert lesson(7).numbers(r"Wiener gain at three starts: ([\d.]+), ([\d.]+), ([\d.]+)") == expected
    assert lesson(7).numbers(r"Wiener gain where they end:  ([\d.]+), ([\d.]+), ([\d.]+)") == expected


def test_7_valleys_lie_between_the_ends(lesson):
    depths = re.findall(r"the valley lies (\S+) nats a frame below", lesson(7).output)
    assert len(depths) == 3
    assert min(map(float, depths)) > 3


def test_7_the_best_speech_is_not_at_the_highest_objective(lesson):
    rows = re.findall(r"^(\w+) *: objective +(\S+) .*SI-SDR +(\S+) dB, responsibility (\S+)$", lesson(7).output, re.M)
    reached = {name: tuple(map(float, values)) for name, *values in rows}
    assert set(reached) == {"visual", "audio", "both", "prior", "random"}
    assert max(reached, key=lambda name: reached[name][1]) == "visual"
    assert max(reached, key=lambda name: reached[name][0]) == "audio"
    assert reached["random"][1] < 0 < reached["audio"][1]
    assert reached["visual"][2] < reached["both"][2] < reached["random"][2]


def test_8_one_spectrum_cannot_say_a_siren(lesson):
    noises = dict(re.findall(r"^noise +(.+?) *: SI-SDR +(\S+) dB$", lesson(8).output, re.M))
    assert len(noises) == 5
    assert float(noises["StationaryNoise"]) < float(noises["NMFNoise, rank 4"]) - 1


def test_8_every_part_can_be_exchanged(lesson):
    out = lesson(8).output
    heard = lesson(8).numbers(r"what is heard: SI-SDR (\S+) dB")[0]
    for what, count in (("guide", 3), ("prior", 5), ("own", 6), ("plain", 6)):
        scores = [float(score) for score in re.findall(rf"^{what} +.+: SI-SDR +(\S+) dB$", out, re.M)]
        assert len(scores) == count
        assert min(scores) > heard + 1
    assert set(re.findall(r"LevelledPrior, (\w+)", out)) == set(ENGINES)


def test_8_pyro_draws_an_own_prior(lesson):
    graph = lesson(8).output.partition("digraph {")[2].partition("\n}")[0]
    assert re.findall(r"(\w+) -> (\w+)", graph) == [("z", "s")]
    assert "cluster_frames" in graph


def test_8_an_own_prior_is_a_pyro_model(lesson):
    by_pyro, by_hand = lesson(8).numbers(r"log p\(s, z\): by Pyro (\S+), by hand (\S+)")
    assert by_pyro == pytest.approx(by_hand, rel=1e-5)


@pytest.fixture
def rules(lesson):
    """SI-SDR gained and mean responsibility, by occlusion and rule."""
    table = {}
    for name in OCCLUSIONS:
        (line,) = re.findall(rf"^{name} *: (closed form .*)$", lesson(9).output, re.M)
        cells = re.findall(r"(closed form|gate, pi 1/2|gate, pi 0\.95) (\S+) dB \(r (\S+)\)", line)
        table[name] = {rule: (float(gain), float(trust)) for rule, gain, trust in cells}
        assert len(table[name]) == 3
    return table


def test_9_a_wrong_video_costs_less_than_the_right_one_brings(lesson, rules):
    alone = lesson(9).numbers(r"by ear alone: SI-SDR (\S+) dB")[0]
    gate = {name: rules[name]["gate, pi 0.95"][0] for name in OCCLUSIONS}
    assert gate["right"] > alone + 0.4
    for name in set(OCCLUSIONS) - {"right", "masked"}:
        assert alone - gate[name] < gate["right"] - alone
        assert gate[name] > rules[name]["closed form"][0] + 1


def test_9_the_responsibility_moves(lesson, rules):
    trust = {name: rules[name]["gate, pi 0.95"][1] for name in OCCLUSIONS}
    assert min(trust, key=trust.__getitem__) == "right"
    pattern = r"masked: r (\S+) before, (\S+) after; frozen: r (\S+) before, (\S+) after"
    masked_before, masked_after, frozen_before, frozen_after = lesson(9).numbers(pattern)
    assert masked_before < 0.5
    assert masked_after == 1
    assert frozen_after > frozen_before


def test_9_levels_agree_where_the_video_is_right(lesson):
    found = dict(re.findall(r"^(.+?) *: levels seen and heard correlate by (\S+)$", lesson(9).output, re.M))
    assert set(found) == set(OCCLUSIONS)
    assert float(found["right"]) > max(float(found[name]) for name in ("shuffled", "late 400 ms"))


def test_10_every_engine_enhances(lesson):
    out = lesson(10).output
    heard = lesson(10).numbers(r"what is heard: SI-SDR (\S+) dB")[0]
    rows = re.findall(r"^(\w+) *: +(\S+) s for +(\d+) iterations, .*SI-SDR +(\S+) dB$", out, re.M)
    assert tuple(name for name, *_ in rows) == ENGINES
    assert min(float(score) for *_, score in rows) > heard + 4


def test_10_objectives_compare_as_derived(lesson):
    out = lesson(10).output
    assert lesson(10).numbers(r"vem: its own bound lies (\S+) nats")[0] > 0
    below = dict(re.findall(r"^(.+): log p\(x, z\) (\S+) nats a frame below", out, re.M))
    walked, coarse, fine = (float(below[name]) for name in ("mcem", "langevin", "langevin, a third of the step"))
    assert walked > 16
    assert fine == pytest.approx(walked, abs=10)
    assert coarse > fine


def test_10_the_engines_agree_on_the_filter(lesson):
    assert lesson(10).numbers(r"any two engines: at least (\S+)")[0] > 0.6
    assert lesson(10).numbers(r"fast takes (\S+) times less")[0] > 1.5


def test_11_a_person_comes_out_of_the_babble(lesson):
    heard, by_ear, seen = lesson(11).numbers(r"SI-SDR: (\S+) dB heard, (\S+) by ear alone, (\S+) with the mouth")
    assert heard == pytest.approx(0, abs=0.2)
    assert heard - 0.2 < by_ear < seen - 5


def test_11_a_covered_mouth_is_left_to_the_sound(lesson):
    right, covered = lesson(11).numbers(r"covered: r (\S+) with the right video, (\S+) so")
    assert right < 0.5 < 0.8 < covered
    right, frozen = lesson(11).numbers(r"frozen: r (\S+) with the right video, (\S+) so")
    assert right < 0.1 < 0.2 < frozen
