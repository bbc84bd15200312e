"""How much noise and which thresholds a privacy claim needs: exact, and rounded towards more privacy.

The currency is Gaussian differential privacy (Dong, Roth & Su 2022, J. R. Stat. Soc. B 84(1)): a mechanism is mu-GDP
if telling two neighbouring logs apart is no easier than telling N(0, 1) from N(mu, 1). Gaussian noise of standard
deviation sigma on a sum to which one user adds a vector of Euclidean norm at most s gives mu = s / sigma; adaptive
compositions add mu^2.

Everything is computed with 50 decimal digits by the standard library and leaves as the neighbouring double, or integer,
on the safe side. Relative errors inside stay below 1e-25 (cancellation, in `gaussian_delta`, costs fewer than 16
digits); results are moved outward by 1e-20 of themselves before they are rounded. So a result differs from the true one
by less than two units in the last place, always on the stated side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import cache
from statistics import NormalDist

from .exceptions import UsageError

GRID = 1 << 20
"""Grid units of one: contributions are integers, and a user's vector in one round has norm at most GRID."""

BIAS_ONE = 1 << 15
"""The integer that stands for weight 1 in `bias_tables`."""

BIAS_STEPS = 256
"""Table entries per unit of z."""

BIAS_MAX_Z = 8
"""The last z of a table; smaller than 0 counts as 0, larger as this."""

CODES_DELTA = 2.0**-64
"""Bounds the probability that a new user is taken for another.

Users are told apart by 128 bits of an HMAC under a key that is drawn for the run and forgotten, of which the first 64
are not 0. With n others, and HMAC taken as a random function, that is at most n 2^-127: at most 2^-64 for any log of
fewer than 2^63 users, and so for any log. Given that it does not happen, neighbours are neighbours: a chance that adds
to those of the thresholds, as in `compose`. Codes of queries and documents are places in a table, and never meet.
"""

_CONTEXT = Context(prec=50, Emin=-999_999, Emax=999_999)
_OUT = Decimal("1e-20")
_TWO_PI = Decimal("6.28318530717958647692528676655900576839433879875021164194988918")
_LARGEST_SIGMA = 1 << 40  # as the core has it: noise of a million users; sums of 1,024 rounds fit 64 bits by far
_MIN_MU = 1e-9
_MAX_MU = 1_000
_MAX_EPSILON = 2_000_000
_MIN_PART = 1e-20
_MAX_ITEMS = 1_000_000


@dataclass(frozen=True)
class Thresholds:
    """Integers that a selection runs with.

    Attributes:
        sigma: standard deviation of the noise of one round, in grid units.
        values: after round k (from 1) an item leaves iff its pooled score is at least `values[k - 1]`.
        delta_t: what bounds the probability that anything leaves that only one user has; at most what was asked for.
    """

    sigma: int
    values: tuple[int, ...]
    delta_t: float


@dataclass(frozen=True)
class Budget:
    """What each stage may spend, so that all together are (epsilon, delta)-differentially private.

    Attributes:
        epsilon: the claim.
        delta: the claim.
        mu: Gaussian budget of all stages; the root of the sum of the squares of the three is at most this.
        mu_selection: of choosing queries; 0 where they are public.
        mu_pairs: of choosing (query, document) pairs; 0 where candidates are public.
        mu_counts: of the counts.
        delta_t: what all events together may have that end the Gaussian bound: thresholds, and `CODES_DELTA`.
        delta_t_selection: of choosing queries.
        delta_t_pairs: of choosing pairs.
        pure: epsilon of a release whose noise needs no delta; it has no Gaussian budget then, and else this is 0.
    """

    epsilon: float
    delta: float
    mu: float
    mu_selection: float
    mu_pairs: float
    mu_counts: float
    delta_t: float
    delta_t_selection: float
    delta_t_pairs: float
    pure: float = 0.0


def gaussian_delta(epsilon: float, mu: float) -> float:
    """The smallest delta for which mu-GDP gives (epsilon, delta)-DP, rounded up.

    delta_G(epsilon; mu) = Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-epsilon/mu - mu/2)
    (Balle & Wang 2018, ICML, Theorem 8, with sensitivity / sigma = mu; Dong, Roth & Su 2022, Corollary 1).

    Args:
        epsilon: at least 0.
        mu: at least 0; 0 gives 0, anything else below 1e-9 counts as 1e-9.

    Returns:
        Never below the true value; above it by less than two units in the last place. A value too small for a double is
        the smallest positive double.

    Raises:
        UsageError: an argument is out of its range.
    """
    _check("epsilon", epsilon, 0 <= epsilon <= _MAX_EPSILON, f"0 to {_MAX_EPSILON:,}")
    _check("mu", mu, 0 <= mu <= _MAX_MU, f"0 to {_MAX_MU:,}")
    if mu == 0:
        return 0.0
    with localcontext(_CONTEXT):
        return _up(_delta(Decimal(epsilon), Decimal(max(mu, _MIN_MU))))


@cache
def gaussian_mu(epsilon: float, delta: float) -> float:
    """The largest mu for which mu-GDP is (epsilon, delta)-DP, rounded down: noise is then sensitivity / mu.

    The inverse of `gaussian_delta` in mu, by bisection to neighbouring doubles (Balle & Wang 2018, Algorithm 1).

    Args:
        epsilon: above 0.
        delta: above 0, below 1.

    Raises:
        UsageError: an argument is out of its range.
    """
    _check("epsilon", epsilon, 0 < epsilon <= 1_000, "above 0 and at most 1,000")
    _check("delta", delta, 0 < delta < 1, "between 0 and 1")
    mu = _last(lambda mu: mu < _MAX_MU and gaussian_delta(epsilon, mu) <= delta)
    if mu < _MIN_MU:
        raise UsageError(f"epsilon {epsilon!r} and delta {delta!r} leave no budget that noise could be made for")
    return mu


def epsilon_of(mu: float, delta: float) -> float:
    """The smallest epsilon for which mu-GDP is (epsilon, delta)-DP, rounded up; infinite where delta is 0.

    Args:
        mu: at least 0.
        delta: at least 0, below 1.

    Raises:
        UsageError: an argument is out of its range.
    """
    _check("mu", mu, 0 <= mu <= _MAX_MU, f"0 to {_MAX_MU:,}")
    _check("delta", delta, 0 <= delta < 1, "at least 0 and below 1")
    if mu == 0 or gaussian_delta(0.0, mu) <= delta:
        return 0.0
    if delta == 0:
        return math.inf
    return math.nextafter(_last(lambda epsilon: gaussian_delta(epsilon, mu) > delta), math.inf)


def mu_of_pure(epsilon: float) -> float:
    """The smallest mu for which every (epsilon, 0)-DP mechanism is mu-GDP, rounded up.

    mu = 2 Phi^-1(e^epsilon / (1 + e^epsilon)). The trade-off curve of (epsilon, 0)-DP is two straight lines that meet
    at alpha = beta = 1 / (1 + e^epsilon) (Wasserman & Zhou 2010; Dong, Roth & Su 2022, equation 3). The curve of mu-GDP
    is convex with the same ends, so it lies below both lines as soon as it goes through, or below, that point.

    Raises:
        UsageError: `epsilon` is negative or too large.
    """
    _check("epsilon", epsilon, 0 <= epsilon <= 500, "0 to 500")
    if epsilon == 0:
        return 0.0
    with localcontext(_CONTEXT):
        return 2 * _isf(1 / (1 + Decimal(epsilon).exp()))


def compose(mus: Iterable[float], delta_ts: Iterable[float]) -> tuple[float, float]:
    """Adds budgets of mechanisms that may each be chosen in the light of the ones before, rounded up.

    Each is dominated by: with probability delta_t anything, else mu-GDP. So together mu^2 = sum mu_i^2 and
    delta_t = 1 - prod(1 - delta_t,i) (Dong, Roth & Su 2022, Corollary 2).

    Returns:
        mu and delta_t.
    """
    squares = sum((Fraction(mu) ** 2 for mu in mus), Fraction(0))
    spared = math.prod((1 - Fraction(delta_t) for delta_t in delta_ts), start=Fraction(1))
    return _root_up(squares), _fraction_up(1 - spared)


def within(mu: float, delta_t: float, epsilon: float, delta: float, pure: float = 0.0) -> bool:
    """Whether budgets as of `compose` keep (epsilon, delta): delta_t + (1 - delta_t) delta_G(epsilon; mu) <= delta.

    `pure` is the sum of the epsilons of releases that are (epsilon, 0)-DP but for their part of delta_t, and what is
    left of epsilon is for the Gaussian ones. Proof: let Q' draw what the pure mechanisms give from the law that they
    have on P's log, and all else from that on Q's, given what was seen before. P and Q' differ by Gaussian rounds that
    adapt, so P(O) <= e^a Q'(O) + delta_G(a; mu) with a = epsilon - pure; and Q'(O) <= e^pure Q(O), as the likelihood of
    what the pure ones gave changes by that factor at most, whatever was chosen in the light of it.
    """
    if pure > epsilon:
        return False
    epsilon = _fraction_down(Fraction(epsilon) - Fraction(pure))
    part = Fraction(delta_t)
    return part + (1 - part) * Fraction(gaussian_delta(epsilon, mu)) <= Fraction(delta)


def epsilon_at(mu: float, delta_t: float, delta: float, pure: float = 0.0) -> float:
    """The smallest epsilon at `delta` of budgets as of `within`, rounded up; infinite where delta_t is too large."""
    if mu == 0 and delta_t <= delta:
        return pure
    rest = math.inf if delta_t >= delta else epsilon_of(mu, _gaussian_part(delta, delta_t))
    return rest if math.isinf(rest) else _fraction_up(Fraction(rest) + Fraction(pure))


def upper_quantile(d: float, t: int = 1) -> float:
    """The z that t independent standard normals all stay below with probability at least 1 - d, rounded up.

    Phi(z)^t >= 1 - d, so Phi(-z) <= 1 - (1 - d)^(1/t) = -expm1(log1p(-d) / t).

    Args:
        d: 1e-20 or more, below 1.
        t: how many, at least 1.

    Raises:
        UsageError: an argument is out of its range.
    """
    _check("d", d, _MIN_PART <= d < 1, "at least 1e-20 and below 1")
    _check("t", t, 1 <= t <= _MAX_ITEMS, f"1 to {_MAX_ITEMS:,}")
    with localcontext(_CONTEXT):
        return _isf(_each(Decimal(d), t))


def sigma_on_grid(mu: float, rounds: int = 1) -> int:
    """Standard deviation, in grid units, of each of `rounds` equal rounds that together are mu-GDP; never rounded down.

    ceil(GRID sqrt(rounds) / mu): one round of norm GRID is then (mu / sqrt(rounds))-GDP.

    Raises:
        UsageError: an argument is out of its range, or the noise would be that of more than a million users.
    """
    _check("mu", mu, 0 < mu < math.inf, "above 0")
    _check("rounds", rounds, 1 <= rounds <= 1024, "1 to 1024")
    with localcontext(_CONTEXT):
        sigma = _ceil(GRID * Decimal(rounds).sqrt() / Decimal(mu))
    if sigma > _LARGEST_SIGMA:
        raise UsageError(
            f"mu {mu!r} is too small: its noise is that of a million users; allow a larger epsilon or delta"
        )
    return sigma


@cache
def selection_thresholds(mu: float, delta_t: float, max_queries: int, rounds: int = 1, late: float = 0.1) -> Thresholds:
    """Noise and pooled thresholds of choosing items (queries, pairs) by weighted Gaussian rounds.

    The mechanism: in each of K rounds every user adds integers to their own items, a vector of norm at most GRID; in
    the first round all of a user's items get the same. Every item that any user has gets floor(sigma N + 1/2) added,
    N standard normal, fresh and independent. Y_k is an item's sum after k rounds; it leaves at the first k with
    Y_k >= T_k. One round is the weighted Gaussian of Gopi et al. 2020 (ICML, "Differentially private set union").

    T_k = ceil(max over 1 <= t <= D0 of GRID (1/sqrt(t) + k - 1) + sqrt(k) sigma z(d_k, t)) + k,  z = `upper_quantile`.

    Claim: whatever the other users hold, the probability that any item leaves that only user v has is at most
    d_1 + ... + d_K <= delta_t, even where weights of later rounds follow from what was seen before.

    Proof. Let v have t >= 1 items of their own, t <= D0. (1) In round 1 v's items all get the same, and there are at
    least t, so each gets at most GRID / sqrt(t); later at most GRID. Nobody else adds to them. (2) Rounding adds at
    most 1/2 a round. So Y_k <= GRID (1/sqrt(t) + k - 1) + X_k + k/2 with X_k = sigma (N_1 + ... + N_k) of that item,
    however weights adapt: the bound needs nothing but the item's own noise. (3) Y_k >= T_k therefore implies
    X_k >= sqrt(k) sigma z + k/2 > sqrt(k) sigma z. The comparison "at least" is thus paid for: the atom of the rounded
    noise at T_k lies in the event. (4) X_k / (sqrt(k) sigma) is standard normal and independent between items, so some
    of the t cross in round k with probability at most 1 - Phi(z)^t <= d_k. (5) Sum over k.

    The split: d_1 = delta_t for one round; else d_k = 1 - Phi(c (k/K)^-late)^D0, c the smallest for which the sum keeps
    delta_t. late = 0 is an equal split; 0.1 gives later rounds, with more gathered, the larger part.

    Args:
        mu: Gaussian budget of all rounds.
        delta_t: threshold budget of all rounds.
        max_queries: D0, items that a user is bounded to.
        rounds: K.
        late: exponent of the split, 0 to 1.

    Raises:
        UsageError: an argument is out of its range.
    """
    _check("delta_t", delta_t, 1e-15 <= delta_t < 1, "at least 1e-15 and below 1")
    _check("max_queries", max_queries, 1 <= max_queries <= _MAX_ITEMS, f"1 to {_MAX_ITEMS:,}")
    _check("late", late, 0 <= late <= 1, "0 to 1")
    sigma = sigma_on_grid(mu, rounds)
    parts = _parts(delta_t, max_queries, rounds, late)
    with localcontext(_CONTEXT):
        values = tuple(_threshold(sigma, part, max_queries, k) for k, part in enumerate(parts, start=1))
    return Thresholds(sigma, values, _fraction_up(sum(map(Fraction, parts), Fraction(0))))


def laplace_scale(epsilon: float, l1_sensitivity: int) -> int:
    """Scale of discrete Laplace noise, in grid units, that is (epsilon, 0)-DP: ceil(l1_sensitivity / epsilon).

    P(x) is proportional to exp(-|x| / scale) on the integers (Ghosh, Roughgarden & Sundararajan 2012, SIAM J. Comput.
    41(6)).

    Args:
        epsilon: above 0.
        l1_sensitivity: most that one user adds, summed over cells, in grid units.

    Raises:
        UsageError: an argument is out of its range.
    """
    _check("epsilon", epsilon, 0 < epsilon < math.inf, "above 0")
    _check("l1_sensitivity", l1_sensitivity, l1_sensitivity >= 1, "1 or more")
    return math.ceil(l1_sensitivity / Fraction(epsilon))


def exactly(value: float) -> str:
    """A figure of a claim in text: no digit is rounded away, since what is rounded down is more than was promised."""
    return repr(float(value)).removesuffix(".0")


def pure(epsilon: float) -> Budget:
    """A budget of discrete Laplace noise alone: (epsilon, `CODES_DELTA`), the noise itself being (epsilon, 0).

    Raises:
        UsageError: `epsilon` is out of its range.
    """
    # Below, the scale of the noise is beyond what the core can draw.
    _check("epsilon", epsilon, 2**-20 <= epsilon <= 1_000, "2^-20 to 1,000 where delta is 0")
    return Budget(epsilon, CODES_DELTA, 0.0, 0.0, 0.0, 0.0, CODES_DELTA, 0.0, 0.0, pure=epsilon)


def split(
    epsilon: float, delta: float, selection_share: float, *, pairs_share: float = 0.0, delta_t_share: float = 0.5
) -> Budget:
    """Divides (epsilon, delta) between choosing queries, choosing pairs, and counting.

    delta = delta_t + (1 - delta_t) delta_G(epsilon; mu), delta_t = 1 - prod(1 - delta_t,i) with `CODES_DELTA` among the
    delta_t,i, mu^2 = sum mu_i^2: all noise is one Gaussian mechanism, off an event of probability delta_t. A stage with
    a share of 0 is left out: it has no threshold and needs no delta_t. Recomputed by `compose` and `within`, the parts
    never exceed the claim.

    Args:
        epsilon: above 0.
        delta: above 0, below 1.
        selection_share: part of mu^2 for choosing queries; 0 where they are public.
        pairs_share: part of mu^2 for choosing pairs; 0 where candidates are public.
        delta_t_share: part of delta for thresholds, divided evenly between the choosing stages.

    Raises:
        UsageError: an argument is out of its range, or shares leave nothing for the counts.
    """
    _check("epsilon", epsilon, 0 < epsilon < math.inf, "above 0")
    _check("delta", delta, 0 < delta < 1, "between 0 and 1")
    _check("selection_share", selection_share, 0 <= selection_share < 1, "at least 0 and below 1")
    _check("pairs_share", pairs_share, 0 <= pairs_share < 1, "at least 0 and below 1")
    _check("delta_t_share", delta_t_share, 0 < delta_t_share < 1, "between 0 and 1")
    if selection_share + pairs_share >= 1:
        raise UsageError("selection_share and pairs_share leave nothing for the counts: their sum must be below 1")
    shares = (selection_share, pairs_share)
    stages = sum(share > 0 for share in shares)
    delta_t = _fraction_down(Fraction(delta) * Fraction(delta_t_share)) if stages else CODES_DELTA
    codes = Fraction(CODES_DELTA)
    if delta_t >= delta or (stages and delta_t <= 2 * CODES_DELTA):
        raise UsageError(f"delta {delta!r} leaves too little beside the {CODES_DELTA:.2g} of telling users apart")
    thresholds = (Fraction(delta_t) - codes) / (1 - codes)
    mu = gaussian_mu(epsilon, _gaussian_part(delta, delta_t))
    with localcontext(_CONTEXT):
        each = _down(_each(Decimal(_fraction_down(thresholds)), stages)) if stages else 0.0
    selection, pairs = (_root_down(Fraction(share) * Fraction(mu) ** 2) for share in shares)
    return Budget(
        epsilon=epsilon,
        delta=delta,
        mu=mu,
        mu_selection=selection,
        mu_pairs=pairs,
        mu_counts=_root_down(Fraction(mu) ** 2 - Fraction(selection) ** 2 - Fraction(pairs) ** 2),
        delta_t=delta_t,
        delta_t_selection=each if selection_share else 0.0,
        delta_t_pairs=each if pairs_share else 0.0,
    )


@cache
def bias_tables(rounds: int) -> tuple[tuple[int, ...], ...]:
    """Weights of the pooled adaptive Gaussian: what an unreleased item weighs next, by its z after round k (from 0).

    Entry i of table k is Phi((z - s(k)) / 0.5) times `BIAS_ONE`, rounded half up, for z = i / `BIAS_STEPS`, from 0 to
    `BIAS_MAX_Z`, s(k) = 1 + 3.5 k / (K - 1): ever more of the weight goes to items that may still reach the threshold.
    Integers, the same on every machine. Weights follow from an item's own noisy sums, so they cost no privacy.

    Raises:
        UsageError: `rounds` is out of its range.
    """
    _check("rounds", rounds, 1 <= rounds <= 1024, "1 to 1024")
    last = max(rounds - 1, 1)
    return tuple(tuple(_bias(i, k, last) for i in range(BIAS_MAX_Z * BIAS_STEPS + 1)) for k in range(rounds))


def _bias(i: int, k: int, last: int) -> int:
    weight = BIAS_ONE * math.erfc((1 + 3.5 * k / last - i / BIAS_STEPS) * math.sqrt(2)) / 2 + 0.5
    if abs(weight - round(weight)) > 1e-6:  # erfc is good for 1e-10: which integer it is, is beyond doubt
        return math.floor(weight)
    with localcontext(_CONTEXT):
        x = 2 * (Decimal(i) / BIAS_STEPS - 1 - Decimal(7 * k) / (2 * last))
        return math.floor(BIAS_ONE * _below(x) + Decimal("0.5"))


def _parts(delta_t: float, max_queries: int, rounds: int, late: float) -> list[float]:
    """What each round may spend of `delta_t`: doubles whose exact sum is at most it."""
    if rounds == 1:
        return [delta_t]
    with localcontext(_CONTEXT):
        stretch = [(Decimal(k) / rounds) ** -Decimal(late) for k in range(1, rounds + 1)]

        def parts(c: float) -> list[float]:
            return [max(_up(1 - (1 - _tail(Decimal(c) * factor)) ** max_queries), _MIN_PART) for factor in stretch]

        def too_much(c: float) -> bool:
            return sum(map(Fraction, parts(c)), Fraction(0)) > Fraction(delta_t)

        return parts(math.nextafter(_last(too_much), math.inf))


def _threshold(sigma: int, part: float, max_queries: int, k: int) -> int:
    spread = Decimal(k).sqrt() * sigma
    most = max(
        GRID * (1 / Decimal(t).sqrt() + (k - 1)) + spread * Decimal(upper_quantile(part, t))
        for t in range(1, max_queries + 1)
    )
    return _ceil(most) + k


def _gaussian_part(delta: float, delta_t: float) -> float:
    """What delta_G may be beside `delta_t`, rounded down."""
    return _fraction_down((Fraction(delta) - Fraction(delta_t)) / (1 - Fraction(delta_t)))


def _each(d: Decimal, t: int) -> Decimal:
    """1 - (1 - d)^(1/t)."""
    return d if t == 1 else 1 - (1 - d) ** (Decimal(1) / t)


def _delta(epsilon: Decimal, mu: Decimal) -> Decimal:
    near, far = epsilon / mu - mu / 2, epsilon / mu + mu / 2
    if near > 40:  # Phi(-40) is below the smallest double, and bounds the result
        return Decimal(0)
    return _below(-near) - epsilon.exp() * _tail(far)


def _density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / _TWO_PI.sqrt()


def _below(x: Decimal) -> Decimal:
    """Phi(x)."""
    return 1 - _tail(x) if x > 0 else _tail(-x)


def _tail(x: Decimal) -> Decimal:
    """Phi(-x) for x >= 0.

    Below 4: 1/2 - density * (x + x^3/3 + x^5/15 + ...) (Abramowitz & Stegun 26.2.11). Above: density times Mills' ratio
    1/(x + 1/(x + 2/(x + 3/(...)))) (26.2.14), which converges like exp(-2 x sqrt(2 n)), cut where that is below 1e-45.
    """
    if x < 4:
        term = total = x
        n = 1
        while term > Decimal("1e-55"):
            n += 2
            term *= x * x / n
            total += term
        return Decimal("0.5") - _density(x) * total
    ratio = x
    for n in range(20 + math.ceil(1400 / float(x) ** 2), 0, -1):
        ratio = x + n / ratio
    return _density(x) / ratio


def _isf(p: Decimal) -> float:
    """The smallest double z, or its next neighbour, with Phi(-z) <= p; that this holds is checked."""
    start = Decimal(-NormalDist().inv_cdf(float(p)))
    z = _up(start + (_below(-start) - p) / _density(start))  # Newton's step squares an error of 1e-15
    while _below(-Decimal(z)) * (1 + _OUT) > p:
        z = math.nextafter(z, math.inf)
    return z


def _last(holds: Callable[[float], bool]) -> float:
    """The last double above 0 for which a condition holds that is true up to some point and false beyond."""
    low, high = 0.0, 1.0
    while holds(high):
        low, high = high, 2 * high
    while math.nextafter(low, math.inf) < high:
        middle = (low + high) / 2 if low > 0 and high / low < 4 else math.sqrt(max(low, 5e-324)) * math.sqrt(high)
        if not low < middle < high:
            middle = math.nextafter(low, math.inf)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _up(value: Decimal) -> float:
    """The next double at or above a value that is moved up by its possible error; never 0."""
    return max(_fraction_up(Fraction(value + abs(value) * _OUT)), 5e-324) if value >= 0 else -_down(-value)


def _down(value: Decimal) -> float:
    """The next double at or below a value, 0 or more, that is moved down by its possible error."""
    return _fraction_down(Fraction(value - value * _OUT))


def _ceil(value: Decimal) -> int:
    return math.ceil(value + value * _OUT)


def _fraction_up(value: Fraction) -> float:
    nearest = float(value)
    return math.nextafter(nearest, math.inf) if Fraction(nearest) < value else nearest


def _fraction_down(value: Fraction) -> float:
    nearest = float(value)
    return math.nextafter(nearest, -math.inf) if Fraction(nearest) > value else nearest


def _root_down(value: Fraction) -> float:
    """The largest double whose square is at most a value."""
    if value == 0:
        return 0.0
    bits = max(0, 64 + (value.denominator.bit_length() - value.numerator.bit_length()) // 2)
    root = _fraction_up(Fraction(math.isqrt((value.numerator << 2 * bits) // value.denominator) + 1, 1 << bits))
    while Fraction(root) ** 2 > value:
        root = math.nextafter(root, 0)
    return root


def _root_up(value: Fraction) -> float:
    """The smallest double whose square is at least a value."""
    root = _root_down(value)
    return root if Fraction(root) ** 2 == value else math.nextafter(root, math.inf)


def _check(name: str, value: float, holds: bool, expected: str) -> None:
    if not holds:
        raise UsageError(f"{name} must be {expected}, not {value!r}")
