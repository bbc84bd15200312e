"""Click models in obvious lines: one session after the other, one parameter a dictionary entry.

A session is (query, documents, clicks), position k + 1 being place k of the lists. Estimates are hits / trials that
begin at 1 / 2 and stay below 1, as the PyClick package defines them; the exact DBN goes through its states both ways.
"""

from __future__ import annotations

import math
from collections import defaultdict

TOP = 1 - 1e-6
Session = tuple[str, list[str], list[bool]]


class Share:
    """hits / trials, 1 / 2 at first."""

    def __init__(self) -> None:
        self.hits, self.trials = 1.0, 2.0

    def add(self, hits: float, trials: float = 1.0) -> None:
        self.hits += hits
        self.trials += trials

    @property
    def value(self) -> float:
        return min(self.hits / self.trials, TOP)


class Model:
    """Attraction `a` and satisfaction `s` by (query, document), `e` by place."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.a: dict = defaultdict(Share)
        self.s: dict = defaultdict(Share)
        self.e: dict = defaultdict(Share)

    def of(self, kind: str, key: object) -> float:
        shares = getattr(self, kind)
        return shares[key].value if key in shares else Share().value


def last_click(clicks: list[bool]) -> int:
    """Place of the last click; the last place where there is none."""
    return max((k for k, c in enumerate(clicks) if c), default=len(clicks) - 1)


def above(clicks: list[bool], k: int) -> int:
    """Position of the last click above place k, 0 for none."""
    return max((j + 1 for j in range(k) if clicks[j]), default=0)


def one_pass(name: str, sessions: list[Session], no_click: str = "examined") -> Model:
    model = Model(name)
    for query, docs, clicks in sessions:
        if name in ("gctr", "rctr", "dctr"):
            for k, (doc, c) in enumerate(zip(docs, clicks, strict=True)):
                (model.a[query, doc] if name == "dctr" else model.e[k if name == "rctr" else 0]).add(c)
            continue
        end = clicks.index(True) if name == "cm" and any(clicks) else last_click(clicks)
        if not any(clicks):
            end = {"examined": end, "first": 0, "drop": -1}[no_click]
        for k in range(end + 1):
            model.a[query, docs[k]].add(clicks[k])
            if clicks[k] and name == "dcm":
                model.e[k].add(k != end)
            if clicks[k] and name == "sdbn":
                model.s[query, docs[k]].add(k == end)
    return model


def by_examination(name: str, sessions: list[Session], passes: int) -> Model:
    """PBM and UBM by the textbook's EM."""
    model = Model(name)
    for _ in range(passes):
        fresh = Model(name)
        for query, docs, clicks in sessions:
            for k, (doc, c) in enumerate(zip(docs, clicks, strict=True)):
                place = (k, above(clicks, k)) if name == "ubm" else k
                a, e = model.of("a", (query, doc)), model.of("e", place)
                fresh.a[query, doc].add(1 if c else (1 - e) * a / (1 - e * a))
                fresh.e[place].add(1 if c else (1 - a) * e / (1 - e * a))
        model = fresh
    return model


def dbn(sessions: list[Session], passes: int, gamma: float | None = None) -> Model:
    """DBN by forward-backward over E_k, examined or not; `e[0]` is gamma, free unless given."""
    model = Model("dbn")
    for _ in range(passes):
        fresh = Model("dbn")
        g = model.of("e", 0) if gamma is None else gamma
        for query, docs, clicks in sessions:
            a = [model.of("a", (query, d)) for d in docs]
            s = [model.of("s", (query, d)) for d in docs]
            # step[k][i][j]: P(C_k, E_{k+1} = j | E_k = i).
            step = []
            for k, c in enumerate(clicks):
                on = (1 - s[k]) * g if c else g
                seen = a[k] if c else 1 - a[k]
                step.append([[0.0 if c else 1.0, 0.0], [seen * (1 - on), seen * on]])
            forward, backward = [[0.0, 1.0]], [[1.0, 1.0]]
            for m in step:
                forward.append([sum(forward[-1][i] * m[i][j] for i in (0, 1)) for j in (0, 1)])
            for m in reversed(step):
                backward.insert(0, [sum(m[i][j] * backward[0][j] for j in (0, 1)) for i in (0, 1)])
            whole = backward[0][1]
            for k, c in enumerate(clicks):
                pair = (query, docs[k])
                unseen = forward[k][0] * backward[k][0] / whole
                fresh.a[pair].add(1 if c else a[k] * unseen)
                seen = forward[k][1] * (a[k] if c else 1 - a[k]) / whole
                satisfied = seen * s[k] * backward[k + 1][0] if c else 0.0
                unsatisfied = seen * (1 - s[k]) if c else seen
                went_on = unsatisfied * g * backward[k + 1][1]
                gave_up = unsatisfied * (1 - g) * backward[k + 1][0]
                if c:
                    fresh.s[pair].add(satisfied)
                fresh.e[0].add(went_on, went_on + gave_up)
        model = fresh
    if gamma is not None:
        model.e[0].hits, model.e[0].trials = gamma, 1.0
    return model


def given_above(model: Model, session: Session) -> list[float]:
    """P(click | clicks above) of each result."""
    query, docs, clicks = session
    out, examined = [], 1.0
    for k, (doc, c) in enumerate(zip(docs, clicks, strict=True)):
        a, s = model.of("a", (query, doc)), model.of("s", (query, doc))
        if model.name in ("gctr", "rctr"):
            p = model.of("e", k if model.name == "rctr" else 0)
        elif model.name == "dctr":
            p = a
        elif model.name in ("pbm", "ubm"):
            p = a * model.of("e", (k, above(clicks, k)) if model.name == "ubm" else k)
        else:
            p = a * examined
            g = model.of("e", 0) if model.name == "dbn" else 1.0
            after_click = {"cm": 0.0, "dcm": model.of("e", k)}.get(model.name, (1 - s) * g)
            examined = after_click if c else examined * (1 - a) / (1 - p) * g
        out.append(min(max(p, 1e-6), TOP))
    return out


def alone(model: Model, session: Session) -> list[float]:
    """P(click) of each result: all clicks above summed out."""
    query, docs, _ = session
    n = len(docs)
    if model.name in ("gctr", "rctr", "dctr", "pbm"):
        return given_above(model, session)
    a = [model.of("a", (query, d)) for d in docs]
    if model.name != "ubm":
        out, examined = [], 1.0
        for k in range(n):
            out.append(a[k] * examined)
            s, g = model.of("s", (query, docs[k])), model.of("e", 0) if model.name == "dbn" else 1.0
            after_click = {"cm": 0.0, "dcm": model.of("e", k)}.get(model.name, (1 - s) * g)
            examined *= a[k] * after_click + (1 - a[k]) * g
        return out
    out = []
    for k in range(n):
        p = 0.0
        for j in range(-1, k):
            path = 1.0 if j < 0 else out[j]
            for i in range(j + 1, k):
                path *= 1 - a[i] * model.of("e", (i, j + 1))
            p += path * a[k] * model.of("e", (k, j + 1))
        out.append(p)
    return out


def beta_prior(shares: list[tuple[float, float, float, float]]) -> tuple[float, float]:
    """Beta prior of (hits, their variance, n = sum of e, sum of e squared), as hits and misses, by moments."""
    weight = mean = square = 0.0
    for hits, variance, n, squares in shares:
        if n > 0:
            w = n / (n + 10)
            weight += w * (1 - squares / n**2)
            mean += w * (1 - squares / n**2) * hits / n
            square += w * (hits**2 + variance - hits) / n**2
    if weight <= 0 or not 0 < mean / weight < 1:
        return 1.0, 1.0
    p = mean / weight
    spread = max(square / weight - p * p, 0.0)
    worth = min(max(p * (1 - p) / spread - 1 if spread else 1e6, 0.1), 1e6)
    return p * worth, (1 - p) * worth


def posterior(hits: float, trials: float, prior: tuple[float, float]) -> float:
    return min((prior[0] + hits) / (prior[0] + prior[1] + trials), TOP)


def standard_pass(name: str, sessions: list[Session], a: dict, e: dict) -> tuple[dict, dict, tuple[float, float]]:
    """From attraction and examination of PBM or UBM to those after one pass of the standard definition."""
    clicks, seen, hits, shown, exposed, squares = (defaultdict(float) for _ in range(6))
    for query, docs, clicked in sessions:
        for k, (doc, c) in enumerate(zip(docs, clicked, strict=True)):
            pair, place = (query, doc), (k + 1, above(clicked, k)) if name == "ubm" else k + 1
            examined = 1.0 if c else e[place] * (1 - a[pair]) / (1 - e[place] * a[pair])
            clicks[pair] += c
            seen[pair] += examined
            exposed[pair] += e[place]
            squares[pair] += e[place] ** 2
            hits[place] += examined
            shown[place] += 1
    prior = beta_prior([(clicks[p], 0.0, exposed[p], squares[p]) for p in seen])
    e = {place: posterior(hits[place], shown[place], (1, 1)) for place in shown}
    e[(1, 0) if name == "ubm" else 1] = 1.0
    return {p: posterior(clicks[p], seen[p], prior) for p in seen}, e, prior


NODES = [((j + 0.5) / 20) ** 2 for j in range(20)]


class Trust:
    """PBM with trust, shares of documents summed out over 20 nodes: lines `u`, `v` by position, `mix` by stratum."""

    def __init__(self, sessions: list[Session]) -> None:
        self.cells: dict = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        by_place: dict = defaultdict(lambda: [0, 0])
        for query, docs, clicked in sessions:
            for k, (doc, c) in enumerate(zip(docs, clicked, strict=True), 1):
                self.cells[query, doc][k][0 if c else 1] += 1
                by_place[k][0 if c else 1] += 1
        self.top = min(by_place)
        most = sum(by_place[self.top])
        self.bottom = max(k for k, both in by_place.items() if sum(both) >= most / 10)
        rate = {k: (c + 1) / (c + s + 2) for k, (c, s) in by_place.items()}
        self.u = {k: min(max(rate[k] / rate[self.top], 0.01), 0.99) for k in rate}
        span = self.bottom - self.top
        self.v = {k: self.u[k] * 0.3 * (1 - min((k - self.top) / span, 1)) for k in rate}
        self.mix = {stratum: [1 / 20] * 20 for stratum in range(1, 11)}
        self.anchor()
        self.posterior: dict = {}

    def anchor(self) -> None:
        self.u[self.top], self.v[self.bottom] = 1.0, 0.0
        self.v = {k: min(v, self.u[k]) for k, v in self.v.items()}

    def chance(self, k: int, a: float) -> float:
        return min(max(self.v[k] + (self.u[k] - self.v[k]) * a, 1e-6), TOP)

    def step(self) -> float:
        """An EM step; the log-likelihood before it."""
        total, pairs, found = 0.0, defaultdict(int), {s: [0.0] * 20 for s in self.mix}
        sums: dict = defaultdict(lambda: [[0.0] * 20, [0.0] * 20])
        for pair, of_pair in self.cells.items():
            n = sum(c + s for c, s in of_pair.values())
            stratum = min(sum(k * (c + s) for k, (c, s) in of_pair.items()) // n, 10)
            w = [
                m * math.prod(self.chance(k, a) ** c * (1 - self.chance(k, a)) ** s for k, (c, s) in of_pair.items())
                for m, a in zip(self.mix[stratum], NODES, strict=True)
            ]
            whole = sum(w)
            w = [x / whole for x in w]
            total += math.log(whole)
            pairs[stratum] += 1
            self.posterior[pair] = sum(x * a for x, a in zip(w, NODES, strict=True))
            for j, x in enumerate(w):
                found[stratum][j] += x
                for k, (c, s) in of_pair.items():
                    sums[k][0][j] += c * x
                    sums[k][1][j] += s * x
        self.mix = {s: [(x + 1 / 20) / (pairs[s] + 1) for x in found[s]] for s in self.mix}
        for _ in range(20):
            lines = {}
            for k, (clicks, skips) in sums.items():
                wanted, other = [1.0, 2.0], [1.0, 2.0]
                for a, c, s in zip(NODES, clicks, skips, strict=True):
                    p = self.chance(k, a)
                    of_click, of_skip = self.u[k] * a / p, (1 - self.u[k]) * a / (1 - p)
                    wanted[0] += c * of_click
                    wanted[1] += c * of_click + s * of_skip
                    other[0] += c * max(1 - of_click, 0)
                    other[1] += c * max(1 - of_click, 0) + s * max(1 - of_skip, 0)
                lines[k] = (min(wanted[0] / wanted[1], TOP), min(other[0] / other[1], TOP))
            self.u = {k: line[0] for k, line in lines.items()}
            self.v = {k: line[1] for k, line in lines.items()}
            self.anchor()
        return total

    def free(self) -> list[float]:
        def odds(p: float) -> float:
            p = min(max(p, 1e-6), TOP)
            return math.log(p / (1 - p))

        lines = [odds(line[k]) for line in (self.u, self.v) for k in sorted(self.u)]
        return lines + [math.log(max(m, 1e-12)) for s in sorted(self.mix) for m in self.mix[s]]

    def put(self, free: list[float]) -> None:
        order, n = sorted(self.u), len(self.u)
        self.u = {k: 1 / (1 + math.exp(-free[i])) for i, k in enumerate(order)}
        self.v = {k: 1 / (1 + math.exp(-free[n + i])) for i, k in enumerate(order)}
        for i, s in enumerate(sorted(self.mix)):
            m = [math.exp(min(x, 0.0)) for x in free[2 * n + 20 * i : 2 * n + 20 * (i + 1)]]
            self.mix[s] = [x / sum(m) for x in m]
        self.anchor()

    def leap(self) -> None:
        """Two steps, and a third from where they lead, or from the second where that explains less."""
        zero = self.free()
        self.step()
        one = self.free()
        before = self.step()
        two, kept = self.free(), (dict(self.u), dict(self.v), dict(self.mix))
        r = [b - a for a, b in zip(zero, one, strict=True)]
        bend = [c - 2 * b + a for a, b, c in zip(zero, one, two, strict=True)]
        far = min(max((sum(x * x for x in r) / sum(x * x for x in bend)) ** 0.5, 1.0), 50.0)
        self.put([z + 2 * far * x + far * far * y for z, x, y in zip(zero, r, bend, strict=True)])
        if self.step() < before:
            self.u, self.v, self.mix = kept
            self.step()


def standard_dbn_pass(sessions: list[Session], a: dict, s: dict, g: float) -> tuple[dict, dict, float]:
    """The same of DBN, by listing who was examined down to where, and whether a click satisfied there."""
    clicks, seen, satisfied, chances, variance, exposed, squares = (defaultdict(float) for _ in range(7))
    went, could = 1.0, 2.0
    for query, docs, clicked in sessions:
        pairs, n = [(query, d) for d in docs], len(docs)
        first = max((k for k, c in enumerate(clicked) if c), default=0)
        # Every way a page can have gone: the last result examined, and whether it satisfied; with its probability.
        ways = []
        for end in range(first, n):
            p = 1.0
            for k in range(end + 1):
                p *= a[pairs[k]] if clicked[k] else 1 - a[pairs[k]]
                if k < end:
                    p *= ((1 - s[pairs[k]]) if clicked[k] else 1) * g
            left = 1.0 if end == n - 1 else 1 - g
            if clicked[end]:
                ways.append((p * s[pairs[end]], end, True))
                ways.append((p * (1 - s[pairs[end]]) * left, end, False))
            else:
                ways.append((p * left, end, False))
        whole = sum(p for p, _, _ in ways)
        examined = 1.0
        for k in range(n):
            clicks[pairs[k]] += clicked[k]
            exposed[pairs[k]] += examined
            squares[pairs[k]] += examined**2
            left = (1 - a[pairs[k]]) / (1 - a[pairs[k]] * examined)
            examined = (1 - s[pairs[k]]) * g if clicked[k] else examined * left * g
        if any(clicked) and first < n - 1:
            sure = sum(p for p, _, was_satisfied in ways if was_satisfied) / whole
            variance[pairs[first]] += sure * (1 - sure)
        for p, end, was_satisfied in ways:
            for k in range(end + 1):
                seen[pairs[k]] += p / whole
                if k < end:
                    went += p / whole
                    could += p / whole
                    if clicked[k]:
                        chances[pairs[k]] += p / whole
            if end < n - 1 and not was_satisfied:
                could += p / whole
            if clicked[end] and end < n - 1:
                chances[pairs[end]] += p / whole
                satisfied[pairs[end]] += was_satisfied * p / whole
    prior_a = beta_prior([(clicks[p], 0.0, exposed[p], squares[p]) for p in a])
    prior_s = beta_prior([(satisfied[p], variance[p], chances[p], chances[p]) for p in a])
    a = {p: posterior(clicks[p], seen[p], prior_a) for p in a}
    return a, {p: posterior(satisfied[p], chances[p], prior_s) for p in a}, went / could


def log_of(p: float, clicked: bool) -> float:
    p = min(max(p, 1e-6), TOP)
    return math.log(p if clicked else 1 - p)


def pyclick_metrics(model: Model, sessions: list[Session], known: set[str]) -> dict:
    """Log-likelihood, perplexity and conditional perplexity, and perplexity by place, as PyClick defines them."""
    sessions = [s for s in sessions if s[0] in known]
    total, by_place, by_place_given = 0.0, [0.0] * 10, [0.0] * 10
    for session in sessions:
        clicks = session[2]
        given = [log_of(p, c) for p, c in zip(given_above(model, session), clicks, strict=True)]
        total += sum(given) / len(given)
        for k, (p, c) in enumerate(zip(alone(model, session), clicks, strict=True)):
            by_place[k] += log_of(p, c)
            by_place_given[k] += given[k]
    n = len(sessions)
    perplexity = [math.exp(-x / n) for x in by_place]
    conditional = [math.exp(-x / n) for x in by_place_given]
    return {
        "log_likelihood": total / n,
        "perplexity": sum(perplexity) / 10,
        "conditional_perplexity": sum(conditional) / 10,
        "by_place": perplexity,
    }


def clax_log_likelihood(model: Model, sessions: list[Session]) -> float:
    """Mean over all results."""
    pairs = [(p, c) for s in sessions for p, c in zip(given_above(model, s), s[2], strict=True)]
    return sum(log_of(p, c) for p, c in pairs) / len(pairs)
