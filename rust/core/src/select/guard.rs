//! Guards: why a candidate is not trusted to be a negative, each by itself.

use crate::alike::Told;
use crate::evidence::{EvidenceRow, wilson_upper};
use crate::given::Said;
use crate::tables::Pair;

use super::{Abandoned, OwnPositive, SelectConfig};

/// A guard, in the order in which they are asked; the first that fires names the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in docs/ARCHITECTURE.md, select")]
pub enum Guard {
    KnownRelevant,
    OwnPositive,
    SameIntent,
    Chain,
    MinExaminations,
    Attractiveness,
    Abandoned,
    ZeroClickSignificance,
    Coec,
    MinImpressions,
    CtrUpper,
    DuplicateWords,
    DuplicateVectors,
    NoScore,
    MaxScore,
    MinScore,
    AbsoluteMargin,
    RelativeMargin,
    PFalseNegative,
}

/// All of them, in order. The last is the one whose limit may be chosen by what the others leave.
pub const GUARDS: [Guard; 19] = [
    Guard::KnownRelevant,
    Guard::OwnPositive,
    Guard::SameIntent,
    Guard::Chain,
    Guard::MinExaminations,
    Guard::Attractiveness,
    Guard::Abandoned,
    Guard::ZeroClickSignificance,
    Guard::Coec,
    Guard::MinImpressions,
    Guard::CtrUpper,
    Guard::DuplicateWords,
    Guard::DuplicateVectors,
    Guard::NoScore,
    Guard::MaxScore,
    Guard::MinScore,
    Guard::AbsoluteMargin,
    Guard::RelativeMargin,
    Guard::PFalseNegative,
];

/// Those of them that ask a model of the caller's, and so what was never shown, too.
pub(super) const SCORE_GUARDS: [Guard; 7] = [
    Guard::DuplicateWords,
    Guard::DuplicateVectors,
    Guard::NoScore,
    Guard::MaxScore,
    Guard::MinScore,
    Guard::AbsoluteMargin,
    Guard::RelativeMargin,
];

/// What a guard looks at, and where it draws the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Which one.
    pub guard: Guard,
    /// Its figure for this candidate.
    pub value: f64,
    /// Where it fires.
    pub limit: f64,
    /// Whether it does.
    pub fires: bool,
}

/// A candidate, as guards see it.
pub(super) struct Suspect<'a> {
    pub(super) pair: &'a Pair,
    pub(super) row: &'a EvidenceRow,
    pub(super) told: &'a Told,
    /// The caller knows that it is relevant.
    pub(super) known: bool,
    /// It qualifies as a positive of the query.
    pub(super) qualified: bool,
    /// It is preferred to nothing: a judgement of the document alone.
    pub(super) absolute: bool,
    /// Users who clicked it when they asked anew.
    pub(super) after: u32,
    pub(super) scored: Scored,
}

/// What a model says of a document, and of the query's positives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    pub(super) said: Said,
    /// The least score of a positive; NaN where none has one.
    pub(super) least: f64,
}

/// Limits of one run.
pub(super) struct Limits<'a> {
    pub(super) config: &'a SelectConfig,
    /// Pages were kept together.
    pub(super) pages: bool,
    /// It is asked what was clicked for the next query, and known.
    pub(super) chain: bool,
    /// The most that the upper bound of attractiveness may be; infinite where it is not asked for.
    pub(super) bound: f64,
    /// The most that P(relevant) may be; infinite where it is not asked for, or not known.
    pub(super) p_false_negative: f64,
}

impl Guard {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::KnownRelevant => "known_relevant",
            Self::OwnPositive => "own_positive",
            Self::SameIntent => "same_intent",
            Self::Chain => "chain",
            Self::MinExaminations => "min_examinations",
            Self::Attractiveness => "attractiveness",
            Self::Abandoned => "abandoned",
            Self::ZeroClickSignificance => "zero_click_significance",
            Self::Coec => "coec",
            Self::MinImpressions => "min_impressions",
            Self::CtrUpper => "ctr_upper",
            Self::DuplicateWords => "duplicate_words",
            Self::DuplicateVectors => "duplicate_vectors",
            Self::NoScore => "no_score",
            Self::MaxScore => "max_score",
            Self::MinScore => "min_score",
            Self::AbsoluteMargin => "absolute_margin",
            Self::RelativeMargin => "relative_margin",
            Self::PFalseNegative => "p_false_negative",
        }
    }

    /// What a guard of scores says; None where it is switched off, or there is nothing for it to look at.
    pub(super) fn of_scores(self, config: &SelectConfig, of: Scored) -> Option<Verdict> {
        let Scored { said, least } = of;
        let known = |value: f64| Some(value).filter(|value| !value.is_nan());
        // Sign-safe: a share of the size of the positive's score, whatever its sign.
        let (value, limit) = match self {
            Self::DuplicateWords if config.duplicate_words < 1.0 => {
                (known(said.word_overlap)?, config.duplicate_words)
            }
            Self::DuplicateVectors if config.duplicate_vectors < 1.0 => {
                (known(said.vector_cosine)?, config.duplicate_vectors)
            }
            Self::NoScore if config.filters_scores() => {
                let lacks = said.score.is_nan() || (config.margins() && least.is_nan());
                (f64::from(u8::from(lacks)), 0.0)
            }
            Self::MaxScore => (known(said.score)?, config.max_score?),
            Self::MinScore => (known(said.score)?, config.min_score?),
            Self::AbsoluteMargin => (known(said.score)?, known(least)? - config.absolute_margin?),
            Self::RelativeMargin => {
                (known(said.score)?, known(least)? - least.abs() * config.relative_margin?)
            }
            _ => return None,
        };
        let fires = if self == Self::MinScore { value < limit } else { value > limit };
        Some(Verdict { guard: self, value, limit, fires })
    }

    /// What the guard says; None where it is switched off or asks something else than this candidate is. `below` is the upper
    /// bound of attractiveness, and `p` is P(relevant): worked out where they are looked at.
    pub(super) fn verdict(
        self,
        limits: &Limits<'_>,
        of: &Suspect<'_>,
        below: &mut dyn FnMut() -> f64,
        p: &mut dyn FnMut() -> f64,
    ) -> Option<Verdict> {
        if SCORE_GUARDS.contains(&self) {
            return self.of_scores(limits.config, of.scored);
        }
        let (config, pair) = (limits.config, of.pair);
        let above = |value: f64, limit: f64| Some((value, limit, value > limit));
        let at_least = |value: f64, limit: f64| Some((value, limit, value >= limit));
        let under = |value: f64, limit: f64| Some((value, limit, value < limit));
        let found = match self {
            Self::KnownRelevant => at_least(f64::from(u8::from(of.known)), 1.0),
            Self::OwnPositive => {
                let (clicked, limit) = match config.own_positive {
                    OwnPositive::Strict => (pair.clicks.max(pair.users_clicked), 1),
                    OwnPositive::Users => (pair.users_clicked, config.own_positive_users),
                    OwnPositive::Satisfied => (pair.satisfied_clicks.max(pair.users_satisfied), 1),
                };
                Some((f64::from(clicked), f64::from(limit), clicked >= limit || of.qualified))
            }
            Self::SameIntent => at_least(f64::from(u8::from(of.told.same_intent)), 1.0),
            Self::Chain if limits.chain => at_least(f64::from(of.after), f64::from(config.chain_users)),
            Self::MinExaminations if config.min_examinations > 0.0 => {
                under(of.row.examinations, config.min_examinations)
            }
            Self::Attractiveness if limits.bound.is_finite() => above(below(), limits.bound),
            Self::PFalseNegative if limits.p_false_negative.is_finite() => {
                above(p(), limits.p_false_negative)
            }
            _ if !of.absolute => None,
            Self::Abandoned if config.abandoned == Abandoned::Drop && limits.pages => {
                under(f64::from(pair.rejections), 1.0)
            }
            Self::ZeroClickSignificance if config.alpha < 1.0 => above(of.row.p_zero, config.alpha),
            Self::Coec => at_least(of.row.coec, config.negative_coec),
            Self::MinImpressions => under(f64::from(pair.impressions), f64::from(config.min_impressions)),
            Self::CtrUpper if config.max_ctr_upper < 1.0 => {
                above(wilson_upper(pair.clicks, pair.impressions), config.max_ctr_upper)
            }
            _ => None,
        };
        found.map(|(value, limit, fires)| Verdict { guard: self, value, limit, fires })
    }
}
