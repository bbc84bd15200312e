//! Options of selection, and the rules that they name.

use serde::Deserialize;

use crate::alike::Likeness;
use crate::error::{Error, Result};
use crate::evidence::Evidence;
use crate::given::Scores;
use crate::records::Rule as PairRule;
use crate::release::Released;

/// Options; see docs/ARCHITECTURE.md, select.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in the configuration tree and in docs/ARCHITECTURE.md")]
pub struct SelectConfig {
    pub rules: Vec<Rule>,
    pub positive_users: u32,
    pub positive_p_relevant: f64,
    pub positive_coec: f64,
    pub max_positives_per_query: usize,
    pub own_positive: OwnPositive,
    pub own_positive_users: u32,
    pub alike_clicks: f64,
    pub alike_words: f64,
    pub same_intent_clicks: f64,
    pub same_intent_words: f64,
    pub chain_users: u32,
    pub max_attractiveness: f64,
    pub min_examinations: f64,
    pub alpha: f64,
    pub negative_coec: f64,
    pub min_impressions: u32,
    pub max_ctr_upper: f64,
    pub max_p_false_negative: f64,
    pub target_fnr: f64,
    pub top_positions: f64,
    pub duplicate_words: f64,
    pub duplicate_vectors: f64,
    pub max_score: Option<f64>,
    pub min_score: Option<f64>,
    pub absolute_margin: Option<f64>,
    pub relative_margin: Option<f64>,
    pub ambiguous_a: f64,
    pub ambiguous_b: f64,
    pub abandoned: Abandoned,
    pub order: Order,
    pub max_negatives_per_query: usize,
    pub semi_negatives: usize,
    pub easy_negatives: usize,
    pub fill: Fill,
    pub draw: Draw,
    pub retrieved_from: usize,
    pub retrieved_to: usize,
    pub validation: f64,
    pub max_queries_per_document: usize,
    pub num_negatives: usize,
    pub refill: Refill,
}

/// Rules that propose negatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Clicked above unclicked ones above it.
    SkipAbove,
    /// The same for the last click.
    LastClickSkipAbove,
    /// Clicked above the unclicked one below.
    ClickNoClickNext,
    /// Unclicked on a page with a click.
    ShownNotClicked,
    /// Near the top, never clicked.
    TopShownNeverClicked,
    /// Passed over above a last click, in sum.
    Skipped,
    /// Satisfied somebody for an alike query, and was seen and passed over here.
    ClickedForRelated,
    /// The caller's own.
    #[serde(skip)]
    Given,
    /// Returned by a search engine, and never shown.
    #[serde(skip)]
    Retrieved,
    /// Any document never shown.
    #[serde(skip)]
    Random,
}

/// How hard a negative is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Shown, or given.
    Hard,
    /// Found by a search engine, further down.
    Semi,
    /// Any document.
    Easy,
}

/// What completes the negatives of a query that has too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// Nothing.
    None,
    /// What a search engine returned.
    Semi,
    /// The same, then documents at random.
    Easy,
}

/// Which documents are drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Draw {
    /// All alike.
    Uniform,
    /// Those shown often more often.
    Popularity,
}

/// All rules, in canonical order.
pub const RULES: [Rule; 7] = [
    Rule::SkipAbove,
    Rule::LastClickSkipAbove,
    Rule::ClickNoClickNext,
    Rule::ShownNotClicked,
    Rule::TopShownNeverClicked,
    Rule::Skipped,
    Rule::ClickedForRelated,
];

impl Rule {
    /// Name in tables and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipAbove => PairRule::SkipAbove.name(),
            Self::LastClickSkipAbove => PairRule::LastClickSkipAbove.name(),
            Self::ClickNoClickNext => PairRule::ClickNoClickNext.name(),
            Self::ShownNotClicked => "shown_not_clicked",
            Self::TopShownNeverClicked => "top_shown_never_clicked",
            Self::Skipped => "skipped",
            Self::ClickedForRelated => "clicked_for_related",
            Self::Given => "given",
            Self::Retrieved => "retrieved",
            Self::Random => "random",
        }
    }

    /// How hard its negatives are.
    pub fn kind(self) -> Kind {
        match self {
            Self::Retrieved => Kind::Semi,
            Self::Random => Kind::Easy,
            _ => Kind::Hard,
        }
    }

    pub(super) fn preference(self) -> Option<PairRule> {
        match self {
            Self::SkipAbove => Some(PairRule::SkipAbove),
            Self::LastClickSkipAbove => Some(PairRule::LastClickSkipAbove),
            Self::ClickNoClickNext => Some(PairRule::ClickNoClickNext),
            _ => None,
        }
    }

    /// Why the rule cannot run on what was released, if so.
    pub fn off(self, released: &Released) -> Option<&'static str> {
        let has = released.has;
        if !has.unclicked {
            return Some("the log holds clicks only: nothing was seen and passed over");
        }
        if !has.positions && !matches!(self, Self::ShownNotClicked | Self::ClickedForRelated) {
            return Some("the log has no positions");
        }
        if !has.pages && self != Self::TopShownNeverClicked {
            return Some("the log does not say which results were shown together");
        }
        if self.preference().is_some() && !has.preferences {
            return Some("counts without the table preferences");
        }
        None
    }
}

/// Guard F1: how much of a click rules a negative out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnPositive {
    /// One, by anybody.
    Strict,
    /// Clicks of `own_positive_users` users.
    Users,
    /// One satisfied click, by anybody.
    Satisfied,
}

/// Guard F9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abandoned {
    /// Pages without clicks make no negatives.
    Drop,
    /// They do.
    Keep,
}

/// Which negatives a cap keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By seeded hash.
    Random,
    /// Drawn, likelier the more often it was looked at, and the less likely it is relevant.
    Examined,
    /// By skip weight, then document.
    SkipWeight,
    /// By score, highest first.
    Score,
    /// Drawn, most likely where the score is near that of a positive.
    Ambiguous,
}

/// What becomes of short rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refill {
    /// Dropped.
    Drop,
    /// Filled from their own start.
    Repeat,
    /// Filled with documents never shown for the query.
    Random,
}

impl SelectConfig {
    /// What makes queries alike.
    pub(crate) fn likeness(&self) -> Likeness {
        Likeness {
            alike_clicks: self.alike_clicks,
            alike_words: self.alike_words,
            same_clicks: self.same_intent_clicks,
            same_words: self.same_intent_words,
            split: self.validation > 0.0,
        }
    }

    /// How many of a query's negatives can be hard.
    pub(super) fn hard_negatives(&self) -> usize {
        self.max_negatives_per_query - self.semi_negatives - self.easy_negatives
    }

    /// Whether documents are drawn from all that were released.
    pub(crate) fn draws(&self) -> bool {
        self.easy_negatives > 0 || self.fill == Fill::Easy || self.refill == Refill::Random
    }

    /// Whether a guard asks for scores.
    pub(super) fn filters_scores(&self) -> bool {
        self.max_score.is_some() || self.min_score.is_some() || self.margins()
    }

    /// Whether a guard compares scores with those of positives.
    pub(super) fn margins(&self) -> bool {
        self.absolute_margin.is_some() || self.relative_margin.is_some()
    }

    /// The option that needs scores, if one does.
    fn scored(&self) -> Option<&'static str> {
        [
            ("max_score", self.max_score.is_some()),
            ("min_score", self.min_score.is_some()),
            ("absolute_margin", self.absolute_margin.is_some()),
            ("relative_margin", self.relative_margin.is_some()),
            ("order", matches!(self.order, Order::Score | Order::Ambiguous)),
            ("duplicate_words", self.duplicate_words < 1.0),
            ("duplicate_vectors", self.duplicate_vectors < 1.0),
        ]
        .into_iter()
        .find_map(|(name, on)| on.then_some(name))
    }

    /// Refuses options that cannot be, or that ask for what `evidence` and `scores` do not know.
    pub(super) fn check(&self, evidence: &Evidence, scores: &Scores) -> Result<()> {
        if let Some(name) = self.scored()
            && !scores.is_given()
        {
            return Err(Error::usage(format!("select.{name} goes by scores, and none are given")));
        }
        if self.rules.is_empty() {
            return Err(Error::usage("select.rules is empty: name at least one rule"));
        }
        for (i, rule) in self.rules.iter().enumerate() {
            if self.rules[..i].contains(rule) {
                return Err(Error::usage(format!("select.rules names {} twice", rule.name())));
            }
        }
        if self.target_fnr > 0.0
            && let Err(why) = &evidence.relevance
        {
            return Err(Error::data(format!(
                "select.target_fnr needs P(relevant), which this log does not give: {why}; leave the option out"
            )));
        }
        if !(0.0..=1.0).contains(&self.target_fnr) {
            return Err(Error::usage("select.target_fnr is a share, from 0 (off) to 1"));
        }
        if !(0.0..1.0).contains(&self.validation) {
            return Err(Error::usage(
                "select.validation is a share of the queries, from 0 (no split) to below 1",
            ));
        }
        if self.semi_negatives + self.easy_negatives > self.max_negatives_per_query {
            return Err(Error::usage(
                "select.semi_negatives and select.easy_negatives are part of select.max_negatives_per_query, and more than it",
            ));
        }
        if self.retrieved_from == 0 || self.retrieved_from > self.retrieved_to {
            return Err(Error::usage(
                "select.retrieved_from and select.retrieved_to are ranks from 1, the first not above the last",
            ));
        }
        if self.num_negatives == 0 {
            return Err(Error::usage("select.num_negatives must be at least 1"));
        }
        Ok(())
    }
}
