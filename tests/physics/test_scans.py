"""Long scans: the counts of optimal schedules, what they hold, and gradients by them."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffpipe.pipelines.physics.refusal import RefusedError
from diffpipe.pipelines.physics.scans import mixed, nested, revolve
from diffpipe.pipelines.physics.scans.modes import forward_mode, recording
from diffpipe.pipelines.physics.scans.report import Scan, describe
from diffpipe.pipelines.physics.scans.scan import scan
from diffpipe.pipelines.physics.scans.schemes import SCHEMES

# (steps, slots): steps taken by checkpoint_schedules 1.0.4, Revolve and Mixed
PUBLISHED = {
    (10, 3): (25, 19),
    (30, 3): (115, 100),
    (100, 5): (416, 352),
    (100, 10): (322, 237),
    (300, 5): (1638, 1478),
}
FACTS = {(1000, 10): 4636, (1000, 40): 3097}  # Revolve alone
MANY = [(n, s) for n in range(1, 25) for s in range(1, n + 3)]


def replay(schedule, length, snapshots):
    """Steps taken and slots in use at most, in a chain that notes what is held where."""
    held, taken, peak, left = {0: ("state", 0)}, 0, 1, length
    for step, legs, slot in schedule(length, snapshots):
        assert step == left - 1, "steps are pulled back one by one, last one first"
        if slot is not None:
            assert held[slot] == ("residuals", step)
            assert not legs
        else:
            at = legs[0].begin
            assert held[legs[0].slot] == ("state", at), "the first leg begins at a state held"
            for leg in legs:
                assert leg.begin == at
                at = leg.end + leg.recorded
                recorded = range(leg.end, at)
                kept = {leg.free + i: ("residuals", each) for i, each in enumerate(recorded)}
                for slot, what in [(leg.slot, ("state", leg.begin)), *kept.items()]:
                    # residuals make the state before their step needless
                    assert held.get(slot, what)[1] == what[1], "a slot in use is not written over"
                    held[slot] = what
                taken += at - leg.begin
            assert at == step
            taken += 1
        left, peak = step, max(peak, len(held))
        held = {slot: what for slot, what in held.items() if what[1] < step}
    assert left == 0
    return taken, peak


@cache
def fewest(length, snapshots):
    """The recursion that the closed form solves: m steps, then both parts; its own reversal."""
    if length == 1:
        return 1
    if snapshots == 1:
        return length * (length + 1) // 2
    return min(
        m + fewest(length - m, snapshots - 1) + fewest(m, snapshots) for m in range(1, length)
    )


@pytest.mark.parametrize(("length", "slots"), PUBLISHED)
def test_steps_taken_equal_the_published_ones(length, slots):
    for scheme, published in zip(SCHEMES, PUBLISHED[length, slots], strict=True):
        assert describe(length, slots, 8, scheme=scheme).forward_steps == published
        assert replay(SCHEMES[scheme].schedule, length, slots) == (published, slots)


@pytest.mark.parametrize(("length", "slots"), FACTS)
def test_long_chains_too(length, slots):
    assert replay(revolve.schedule, length, slots) == (FACTS[length, slots], slots)
    assert revolve.forward_steps(length, slots) == FACTS[length, slots]


def test_every_schedule_takes_the_fewest_steps_there_are():
    for length, slots in MANY:
        taken, peak = replay(revolve.schedule, length, slots)
        assert taken == revolve.forward_steps(length, slots) == fewest(length, slots)
        assert peak == describe(length, slots, 8).snapshots <= slots


def test_a_mixed_schedule_takes_what_its_table_says_and_no_more_than_revolve():
    for length, slots in MANY:
        taken, peak = replay(mixed.schedule, length, slots)
        assert taken == mixed.forward_steps(length, slots) <= revolve.forward_steps(length, slots)
        assert peak == describe(length, slots, 8, scheme="mixed").snapshots <= slots


@pytest.mark.parametrize("length", [1, 2, 3, 7, 100, 1000, 1009])
def test_segments_make_up_the_scan_and_are_about_a_square_root(length):
    number, size, rest = nested.segments(length)
    assert number * size + rest == length
    # 2 sqrt(n) at best; a size that leaves no rest may cost a quarter more, a rest one segment
    assert nested.segments(length).snapshots <= 2.5 * length**0.5 + 2


def test_what_is_described_is_what_is_held():
    assert describe(1000, 10, 460_800, "evolution") == Scan(
        "evolution", "revolve", 1000, 10, 460_800, 4636
    )
    assert describe(1000, 10, 460_800).held_bytes == 4_608_000
    assert describe(100, 10, 8, scheme="mixed") == Scan("scan", "mixed", 100, 10, 8, 237)
    assert describe(1000, None, 8) == Scan("scan", "nested", 1000, 65, 8, 2000)


# a chain with all that a scan may have: closed-over parameters, xs, ys, integers, a random key
KEY = jax.random.key(3)
MATRIX = 0.4 * jax.random.normal(KEY, (4, 4))
GIVEN = {"matrix": MATRIX, "start": jnp.ones(4), "kicks": jnp.cos(jnp.arange(44.0).reshape(11, 4))}


def chain(run, given, seen=id):
    def step(carry, kick):
        state, count, key = carry
        seen(state)
        moved = jnp.tanh(given["matrix"] @ state + kick["kick"])
        return (moved, count + kick["one"], key), {"sum": state.sum(), "count": count}

    kicks = {"kick": given["kicks"], "one": jnp.ones(len(given["kicks"]), jnp.int32)}
    (state, count, _), ys = run(step, (given["start"], jnp.int32(0), KEY), kicks)
    weights = 1.0 + ys["count"].astype(float)
    return jnp.sum(state**3) + jnp.sum(weights * ys["sum"] ** 2) * count.astype(float)


def assert_near(found, expected):
    # the same operations on the same numbers; only their fusion by XLA differs
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = np.max(np.abs(other)) + 1e-300
        np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=1e-14)


@pytest.fixture(scope="module")
def expected():
    """Gradient, and Hessian times the point itself, of the plain scan."""
    return jax.jit(both(jax.lax.scan))(GIVEN)


def both(run):
    slope = jax.grad(partial(chain, run))
    return lambda given: jax.jvp(slope, (given,), (given,))


NESTED, REVOLVE, MIXED = {"snapshots": None}, {"snapshots": 3}, {"snapshots": 3, "scheme": "mixed"}


@pytest.mark.parametrize("how", [NESTED, REVOLVE, MIXED])
def test_gradient_and_its_jvp_equal_those_of_the_plain_scan(expected, how):
    assert_near(jax.jit(both(partial(scan, **how)))(GIVEN), expected)


@pytest.mark.parametrize("how", [REVOLVE, MIXED])
def test_many_pullbacks_at_once(how):
    weights = jnp.array([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, 4.0, -1.0]])

    def pulled(run):
        def final(matrix):
            return run(lambda state, _: (jnp.sin(matrix @ state), None), jnp.ones(4), None, 9)[0]

        return jax.jit(lambda matrix: jax.vmap(jax.vjp(final, matrix)[1])(weights))(MATRIX)

    assert_near(pulled(partial(scan, **how)), pulled(jax.lax.scan))


def test_forward_mode_is_that_of_the_plain_scan():
    def pushed(run):
        return jax.jit(lambda given: jax.jvp(partial(chain, run), (given,), (given,)))

    with forward_mode():
        found = pushed(partial(scan, snapshots=3))(GIVEN)
    assert_near(found, pushed(jax.lax.scan)(GIVEN))


def test_what_was_traced_for_forward_mode_is_not_taken_for_the_pullback():
    run = jax.jit(lambda start: scan(lambda s, _: (jnp.sin(s), None), start, None, 9, snapshots=3))

    def eqns():
        return str(jax.make_jaxpr(run)(1.0))

    with forward_mode():
        assert "custom_vjp_call" not in eqns()
    assert "custom_vjp_call" in eqns()


@pytest.mark.parametrize(
    ("length", "how", "taken"),
    [
        (10, REVOLVE, 25),
        (11, NESTED, 22),
        (2, REVOLVE | {"snapshots": 40}, 3),
        (1, REVOLVE | {"snapshots": 1}, 1),
        (10, MIXED, 19),
        (10, MIXED | {"snapshots": 40}, 10),
    ],
)
def test_the_steps_taken_are_those_described_and_their_gradient_is_right(length, how, taken):
    seen = []
    run = partial(scan, **how)
    watched = partial(chain, run, seen=partial(jax.debug.callback, lambda _: seen.append(1)))
    given = GIVEN | {"kicks": GIVEN["kicks"][:length]}
    found = jax.block_until_ready(jax.jit(jax.grad(watched))(given))
    jax.effects_barrier()
    assert len(seen) == taken == describe(length, slot_bytes=8, **how).forward_steps
    assert_near(found, plain_gradient(length))


@cache
def plain_gradient(length):
    given = GIVEN | {"kicks": GIVEN["kicks"][:length]}
    return jax.jit(jax.grad(partial(chain, jax.lax.scan)))(given)


@pytest.mark.parametrize("how", [NESTED, REVOLVE, MIXED])
def test_a_longer_scan_is_no_more_to_compile(how):
    def equations(length):
        def last(start):
            return scan(lambda s, _: (jnp.sin(s), None), start, None, length, **how)[0]

        return str(jax.make_jaxpr(jax.grad(last))(1.0)).count("\n")

    assert equations(100) == equations(900)


def test_memory_is_that_of_the_states_and_residuals_held():
    size, length, snapshots = 20_000, 400, 5

    def last(run, start):
        return jnp.sum(run(lambda s, _: (jnp.sin(s) + s**2, None), start, None, length)[0])

    def bytes_of(run):
        compiled = jax.jit(jax.grad(partial(last, run))).lower(jnp.zeros(size)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    state = 8 * size
    assert bytes_of(jax.lax.scan) > length * state
    # beside what is held: the residuals of one step, cotangents, XLA's copies; some states each
    held = describe(length, snapshots, state).held_bytes
    assert bytes_of(partial(scan, snapshots=snapshots)) < held + 12 * state
    # two residuals a step
    how = {"snapshots": snapshots, "scheme": "mixed"}
    held = describe(length, slot_bytes=2 * state, **how).held_bytes
    assert bytes_of(partial(scan, **how)) < held + 12 * state
    assert bytes_of(scan) < 2 * describe(length, None, state).held_bytes


def test_scans_are_noted_while_they_are_traced():
    @jax.jit
    def final(start):
        first, _ = scan(lambda s, _: (s, None), start, None, 30, snapshots=3, name="evolution")
        second, _ = scan(lambda s, _: (first * s**2, None), start, None, 30, **MIXED)
        return scan(lambda s, _: (s, None), second, None, 100)[0]

    for _ in range(2):  # compiled or not
        with recording() as scans:
            jax.eval_shape(final, jnp.zeros((5, 4)))
        assert scans == [
            Scan("evolution", "revolve", 30, 3, 160, 115),
            # beside `first`: s**2 and first * 2 s; a state is like one of them
            Scan("scan", "mixed", 30, 3, 320, 100),
            Scan("scan", "nested", 100, 20, 160, 200),
        ]
        final(jnp.zeros((5, 4)))


@pytest.mark.parametrize("snapshots", [0, -3, 2.0, True, "4"])
def test_a_number_of_snapshots_that_is_none_is_refused(snapshots):
    with pytest.raises(RefusedError, match=r"at least one; snapshots is") as caught:
        scan(lambda s, _: (s, None), 1.0, None, 5, snapshots=snapshots)
    assert repr(snapshots) in str(caught.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"snapshots": 3, "scheme": "revolver"}, "a scan has no scheme 'revolver'"),
        ({"scheme": "mixed"}, "scheme 'mixed' and no number of snapshots"),
    ],
)
def test_a_scheme_that_is_not_one_for_this_is_refused(how, said):
    with pytest.raises(RefusedError, match=said) as caught:
        scan(lambda s, _: (s, None), 1.0, None, 5, **how)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("xs", "length", "said"),
    [
        (None, None, "first axes of xs: no arrays; length: None"),
        ((np.zeros(3), np.zeros((4, 2))), None, "first axes of xs: 3, 4; length: None"),
        (np.zeros(3), 4, "first axes of xs: 3; length: 4"),
        ((1.0, np.zeros(3)), None, "first axes of xs: none, 3; length: None"),
    ],
)
def test_numbers_of_steps_that_disagree_are_refused(xs, length, said):
    with pytest.raises(RefusedError, match=said):
        scan(lambda s, _: (s, None), 1.0, xs, length, snapshots=2)
