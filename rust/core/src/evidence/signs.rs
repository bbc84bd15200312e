//! What the history of one (query, document) says of its kind, and chances that other knowledge changes.

/// Kinds of a (query, document): attractive or not, times relevant or not.
pub const KINDS: usize = 4;

/// Chances of the kinds: [not attractive, not relevant], [not, relevant], [attractive, not], [attractive, relevant].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chances([f64; KINDS]);

impl Chances {
    /// P(relevant).
    pub fn relevant(&self) -> f64 {
        (self.0[1] + self.0[3]).min(1.0)
    }

    /// Mean of what each kind gives.
    pub fn mean(&self, of: &[f64; KINDS]) -> f64 {
        self.0.iter().zip(of).map(|(chance, x)| chance * x).sum()
    }

    /// Bayes' rule: chances after what has these likelihoods, and the likelihood of it.
    pub fn updated(&self, likelihoods: &[f64; KINDS]) -> (Self, f64) {
        let all = self.mean(likelihoods).max(f64::MIN_POSITIVE);
        let mut out = *self;
        out.0.iter_mut().zip(likelihoods).for_each(|(chance, x)| *chance *= x / all);
        (out, all)
    }
}

/// Chances before a history, and what it says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signs {
    /// P(relevant) where the document was shown, before its history.
    pub prior: f64,
    /// P(attractive), not relevant and relevant.
    pub attractive: [f64; 2],
    /// Likelihood of the history under each kind, over that under all.
    pub ratio: [f64; KINDS],
}

impl Signs {
    /// Nothing is known.
    pub const NONE: Self = Self { prior: 0.5, attractive: [0.5; 2], ratio: [1.0; KINDS] };

    /// What a history says that leaves the kinds these chances.
    pub(super) fn of(prior: f64, attractive: [f64; 2], after: &[f64]) -> Self {
        let mut out = Self { prior, attractive, ratio: [1.0; KINDS] };
        let before = out.before();
        out.ratio
            .iter_mut()
            .zip(after)
            .zip(before.0)
            .for_each(|((ratio, after), before)| *ratio = after / before);
        out
    }

    fn before(&self) -> Chances {
        let [plain, good] = self.attractive;
        let (no, yes) = (1.0 - self.prior, self.prior);
        Chances([no * (1.0 - plain), yes * (1.0 - good), no * plain, yes * good])
    }

    /// Chances after the history.
    pub fn posterior(&self) -> Chances {
        self.before().updated(&self.ratio).0
    }

    /// Chances before the history, and after something else whose log-likelihoods are these.
    pub fn after(&self, likelihoods: &[f64; KINDS]) -> Chances {
        let most = likelihoods.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        self.before().updated(&likelihoods.map(|x| (x - most).exp())).0
    }
}
