//! What evidence and selection need of all queries, where these are in parts: it is asked of the parts in rounds, worked out
//! once, and each part gets its share. Every part is then weighed and selected from alone, to the rows and floats that the
//! whole gives.
//!
//! | round | a part says | from that |
//! |---|---|---|
//! | outline | pairs, impressions by position | how many pairs a sample takes |
//! | portion | its pairs of the sample, satisfied clicks and the texts of their queries | examination, attractiveness, relevance; which queries are alike |
//! | rows | what was seen of each document of those queries | how often alike queries agree |
//! | outcome | what its selection yields, and which documents it uses | the limit of `target_fnr`, hubs |
//!
//! Questions, answers and shares are bytes, which whoever sends them seals.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::alike::{Alike, Excerpt, Neighbours, Piece, Satisfied, pieces};
use crate::budget::Budget;
use crate::counts::Has;
use crate::error::{Error, Result};
use crate::evidence::{Common, Evidence, EvidenceConfig, Sample};
use crate::given::Beside;
use crate::logged::Logged;
use crate::packed::Tables;
use crate::parts::Nth;
use crate::pulse::Pulse;
use crate::release::{Passed, Released};
use crate::seed::Seed;
use crate::select::{Decided, Documents, Draw, Knowledge, SelectConfig, Yields, held_out_below, hubs};
use crate::strings::Strings;
use crate::triplets::{Selection, made};

#[derive(Serialize, Deserialize)]
enum Question {
    Outline,
    Portion { pairs: u64, seed: u64, satisfied: bool, documents: bool, popularity: bool },
    Rows { common: Box<Common>, wanted: Vec<u64> },
}

#[derive(Serialize, Deserialize)]
struct Outline {
    has: Has,
    k: Option<u32>,
    pairs: u64,
    by_position: Vec<[u64; 2]>,
    position_users: Vec<[u32; 2]>,
    logged: Logged,
}

#[derive(Serialize, Deserialize)]
struct Portion {
    sample: Sample,
    satisfied: Satisfied,
    /// Of queries with a satisfied click, ascending by code.
    texts: Vec<(u64, String)>,
    /// Where documents are drawn: each with how often it was shown, where that counts.
    documents: Vec<(u64, String, u64)>,
}

#[derive(Serialize, Deserialize)]
struct Seen {
    counted: Vec<Piece>,
    shown: Vec<Piece>,
}

#[derive(Serialize, Deserialize)]
struct Outcome {
    yields: Yields,
    uses: Vec<(u64, u64)>,
}

/// What a part is weighed and selected by.
#[derive(Serialize, Deserialize)]
pub struct Share {
    number: u32,
    of: u32,
    common: Common,
    alike: Excerpt,
    documents: Vec<(u64, String, u64)>,
    popularity: bool,
    decided: Decided,
}

fn packed(what: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_stdvec(what).map_err(|_| Error::internal("an answer of a part cannot be packed"))
}

fn unpacked<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|_| {
        Error::data(format!("this is no {what} of this version: ask, answer and select with one version"))
    })
}

/// The part that a release is; all of it is the only one.
fn part_of(released: &Released) -> Result<Nth> {
    released.part.map_or_else(|| Nth::new(0, 1), Ok)
}

/// Answers a question about a part.
///
/// # Errors
/// [`Error::data`] for what is no question; where the spill cannot be read; what `pulse` reports.
pub fn answer(
    released: &Arc<Released>,
    question: &[u8],
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Vec<u8>> {
    match unpacked(question, "question")? {
        Question::Outline => packed(&Outline {
            has: released.has,
            k: released.k,
            pairs: released.tables.sizes().pairs,
            by_position: released.tables.by_position().0,
            position_users: released.position_users.clone(),
            logged: released.logged.clone(),
        }),
        Question::Portion { pairs, seed, satisfied: asked, documents, popularity } => {
            let sample = Sample::of(released, pairs, Seed::new(seed), threads, pulse)?;
            let satisfied = match asked {
                true => Satisfied::of(released, threads, pulse)?.by_codes(),
                false => Satisfied::default(),
            };
            let text = |strings: &Strings, code: u64| (code, strings.get(code).to_owned());
            let texts = satisfied.queries().iter().map(|q| text(&released.query_strings, *q)).collect();
            let drawn = if documents { released.documents(pulse)? } else { Vec::new() };
            let shown =
                if popularity { Documents::shown(released, &drawn, pulse)? } else { vec![0; drawn.len()] };
            let documents = drawn
                .into_iter()
                .zip(shown)
                .map(|(doc, shown)| (doc, released.doc_strings.get(doc).to_owned(), shown))
                .collect();
            packed(&Portion { sample, satisfied, texts, documents })
        }
        Question::Rows { common, wanted } => {
            let evidence = Evidence::of(released.clone(), *common);
            let counted = pieces(&evidence, &wanted, false, threads, pulse)?;
            let shown = match released.k {
                Some(_) => pieces(&evidence, &wanted, true, threads, pulse)?,
                None => Vec::new(),
            };
            packed(&Seen { counted, shown })
        }
    }
}

/// What was worked out so far.
enum Known {
    Nothing,
    Outlined,
    Weighed(Box<Common>, Neighbours),
    All(Box<(Common, Alike, Option<Alike>)>),
}

/// All queries of a release in parts.
pub struct Whole {
    of: u32,
    evidence: EvidenceConfig,
    select: SelectConfig,
    seed: u64,
    known: Known,
    /// Without tables: what is not by query.
    shell: Arc<Released>,
    by_position: Vec<[u64; 2]>,
    pairs: u64,
    documents: BTreeMap<u64, (String, u64)>,
    yields: Yields,
    limit: Option<f64>,
    held_out_below: u64,
    /// By part: (document, query) that go.
    gone: Vec<Vec<(u64, u64)>>,
    settled: bool,
}

impl Whole {
    /// Of `of` parts, nothing asked yet; `k` is the threshold of users that they were released with.
    ///
    /// # Errors
    /// [`Error::usage`] for options that cannot be.
    pub fn new(
        of: u32,
        k: Option<u32>,
        evidence: EvidenceConfig,
        select: SelectConfig,
        seed: u64,
    ) -> Result<Self> {
        Nth::new(0, of)?;
        evidence.check()?;
        if select.chain_users > 0 {
            return Err(Error::usage(
                "select.chain_users goes by what was clicked for other queries, which can be of other parts: gather the parts, \
                 or leave it out",
            ));
        }
        let has = Has {
            users: false,
            pages: false,
            positions: false,
            times: false,
            unclicked: false,
            cell_detail: true,
            preferences: false,
            page_counts: false,
            bounded: 0,
        };
        Ok(Self {
            of,
            evidence,
            select,
            seed,
            known: Known::Nothing,
            shell: Arc::new(shell(has, k, Vec::new(), Logged::default())),
            by_position: Vec::new(),
            pairs: 0,
            documents: BTreeMap::new(),
            yields: Yields::default(),
            limit: None,
            held_out_below: 0,
            gone: vec![Vec::new(); of as usize],
            settled: false,
        })
    }

    /// What every part is to be asked next; None where all is known.
    ///
    /// # Errors
    /// [`Error::usage`] for options that cannot be.
    pub fn question(&self) -> Result<Option<Vec<u8>>> {
        let question = match &self.known {
            Known::Nothing => Question::Outline,
            Known::Outlined => Question::Portion {
                pairs: self.pairs,
                seed: self.seed,
                satisfied: self.select.likeness().is_on()?,
                documents: self.select.draws(),
                popularity: self.popularity(),
            },
            Known::Weighed(common, near) => Question::Rows { common: common.clone(), wanted: near.wanted() },
            Known::All(..) => return Ok(None),
        };
        packed(&question).map(Some)
    }

    /// Takes in what all parts answered, in their order.
    ///
    /// # Errors
    /// [`Error::usage`] where answers are missing or parts were released in different ways; [`Error::data`] for what is no
    /// answer to the last question, and where the log lacks what a click model needs; what `pulse` reports.
    pub fn take(&mut self, answers: &[Vec<u8>], threads: usize, pulse: &mut Pulse<'_>) -> Result<()> {
        if answers.len() != self.of as usize {
            return Err(Error::usage(format!(
                "{} answers of {} parts: each part answers once, in order",
                answers.len(),
                self.of
            )));
        }
        let seed = Seed::new(self.seed);
        self.known = match std::mem::replace(&mut self.known, Known::Nothing) {
            Known::Nothing => {
                for (i, bytes) in answers.iter().enumerate() {
                    self.outlined(i, unpacked(bytes, "answer")?)?;
                }
                Known::Outlined
            }
            Known::Outlined => {
                let all = answers.iter().map(|bytes| unpacked::<Portion>(bytes, "answer"));
                let (mut samples, mut clicks) = (Vec::new(), Vec::new());
                let mut texts: Vec<(u64, String)> = Vec::new();
                for portion in all {
                    let portion = portion?;
                    pulse.beat()?;
                    samples.push(portion.sample);
                    clicks.push(portion.satisfied);
                    texts.extend(portion.texts);
                    for (doc, text, shown) in portion.documents {
                        self.documents.entry(doc).or_insert((text, 0)).1 += shown;
                    }
                }
                let sample = Sample::joined(samples);
                let by_position = self.by_position.clone();
                let common = Common::of(&sample, by_position, &self.shell, &self.evidence, threads, pulse)?;
                let text = |query: u64| {
                    texts.binary_search_by_key(&query, |t| t.0).map_or("", |i| texts[i].1.as_str())
                };
                let (clicks, budget) = (Satisfied::joined(clicks), Budget::unlimited());
                let near = Neighbours::new(clicks, text, self.select.likeness(), &budget, threads, pulse)?;
                Known::Weighed(Box::new(common), near)
            }
            Known::Weighed(common, near) => {
                let all = answers.iter().map(|bytes| unpacked::<Seen>(bytes, "answer"));
                let (mut counted, mut shown) = (Vec::new(), Vec::new());
                for seen in all {
                    let seen = seen?;
                    counted.extend(seen.counted);
                    shown.extend(seen.shown);
                }
                let attractive = Evidence::of(self.shell.clone(), (*common).clone()).attractive();
                let known = common.tells_relevance();
                let alike = near.learnt(counted, attractive, known, seed, threads, pulse)?;
                self.held_out_below = held_out_below(&alike, self.select.validation, seed);
                let shown = match self.shell.k {
                    Some(_) => Some(near.learnt(shown, attractive, known, seed, threads, pulse)?),
                    None => None,
                };
                Known::All(Box::new((*common, alike, shown)))
            }
            all @ Known::All(..) => {
                self.known = all;
                return Err(Error::usage("everything was asked already: there is no question to answer"));
            }
        };
        Ok(())
    }

    fn outlined(&mut self, i: usize, outline: Outline) -> Result<()> {
        let Outline { has, k, pairs, by_position, position_users, logged } = outline;
        let called =
            |k: Option<u32>| k.map_or("no threshold of users".to_owned(), |k| format!("k-users {k}"));
        if k != self.shell.k {
            return Err(Error::usage(format!(
                "part {i} was released with {}, and here privacy is {}; give what all parts were released with",
                called(k),
                called(self.shell.k)
            )));
        } else if i == 0 {
            self.shell = Arc::new(shell(has, k, position_users, logged));
        } else if has != self.shell.has {
            return Err(Error::usage(
                "these parts were released in different ways; release all of them alike",
            ));
        } else if let Some(shell) = Arc::get_mut(&mut self.shell) {
            shell.logged.add(&logged);
        }
        self.pairs += pairs;
        self.by_position.resize(self.by_position.len().max(by_position.len()), [0; 2]);
        for (sum, own) in self.by_position.iter_mut().zip(by_position) {
            sum[0] += own[0];
            sum[1] += own[1];
        }
        Ok(())
    }

    fn popularity(&self) -> bool {
        self.select.draws() && self.select.draw != Draw::Uniform
    }

    fn all(&self) -> Result<(&Common, &Alike, Option<&Alike>)> {
        match &self.known {
            Known::All(all) => Ok((&all.0, &all.1, all.2.as_ref())),
            _ => Err(Error::usage(
                "the parts have not answered every question yet: ask them question by question",
            )),
        }
    }

    /// What a part is weighed and selected by.
    ///
    /// # Errors
    /// [`Error::usage`] where parts have questions to answer first, or there is no such part.
    pub fn share(&self, number: u32) -> Result<Vec<u8>> {
        let (common, alike, shown) = self.all()?;
        let part = Nth::new(number, self.of)?;
        packed(&Share {
            number,
            of: self.of,
            common: common.clone(),
            alike: Excerpt::of(alike, shown, |query| part.has_query(query))?,
            documents: self
                .documents
                .iter()
                .map(|(code, (text, shown))| (*code, text.clone(), *shown))
                .collect(),
            popularity: self.popularity(),
            decided: Decided {
                limit: self.limit,
                gone: self.gone[number as usize].clone(),
                held_out_below: self.held_out_below,
            },
        })
    }

    /// Takes in the outcomes of all parts, in their order; returns the parts that are to be selected from again, by what
    /// [`Whole::share`] then gives. None are left after at most two times.
    ///
    /// # Errors
    /// [`Error::usage`] where outcomes are missing; [`Error::data`] for what is no outcome.
    pub fn settle(&mut self, outcomes: &[Vec<u8>]) -> Result<Vec<u32>> {
        if outcomes.len() != self.of as usize {
            return Err(Error::usage(format!("{} outcomes of {} parts", outcomes.len(), self.of)));
        }
        if self.settled {
            return Ok(Vec::new());
        }
        let (mut uses, mut yields) = (Vec::new(), Yields::default());
        for bytes in outcomes {
            let outcome: Outcome = unpacked(bytes, "outcome")?;
            uses.extend(outcome.uses);
            yields.add(outcome.yields);
        }
        self.yields = yields;
        if self.select.target_fnr > 0.0 && self.limit.is_none() {
            self.limit = Some(self.yields.limit_for(self.select.target_fnr));
            return Ok((0..self.of).collect());
        }
        uses.sort_unstable();
        for (doc, query) in hubs(uses, self.select.max_queries_per_document, Seed::new(self.seed)) {
            let part = (u128::from(query) * u128::from(self.of)) >> 64;
            self.gone[part as usize].push((doc, query));
        }
        self.settled = true;
        Ok((0..self.of).filter(|part| !self.gone[*part as usize].is_empty()).collect())
    }

    /// Evidence without rows: what all pairs have in common.
    ///
    /// # Errors
    /// [`Error::usage`] where parts have questions to answer first.
    pub fn evidence(&self) -> Result<Evidence> {
        Ok(Evidence::of(self.shell.clone(), self.all()?.0.clone()))
    }

    /// How often alike queries agree, what other limits would yield, and the limit that was drawn (infinite for none).
    ///
    /// # Errors
    /// [`Error::usage`] where parts have questions to answer first.
    pub fn told(&self) -> Result<(&Alike, &Yields, f64)> {
        let (common, alike, _) = self.all()?;
        let guarded = common.tells_relevance() && self.select.max_p_false_negative < 1.0;
        let limit = if guarded { self.select.max_p_false_negative } else { f64::INFINITY };
        Ok((alike, &self.yields, self.limit.map_or(limit, |found| limit.min(found))))
    }
}

fn shell(has: Has, k: Option<u32>, position_users: Vec<[u32; 2]>, logged: Logged) -> Released {
    Released {
        query_strings: Arc::default(),
        doc_strings: Arc::default(),
        tables: Arc::new(Tables::new(Vec::new(), has.cell_detail, Budget::unlimited())),
        position_users,
        has,
        k,
        passed: Passed::default(),
        logged,
        part: None,
    }
}

impl Share {
    /// Out of what [`Whole::share`] made.
    ///
    /// # Errors
    /// [`Error::data`] for anything else.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        unpacked(bytes, "share")
    }

    /// Evidence of the part.
    ///
    /// # Errors
    /// [`Error::usage`] where the release is another part.
    pub fn evidence(&self, released: Arc<Released>) -> Result<Evidence> {
        let (here, own) = (part_of(&released)?, Nth::new(self.number, self.of)?);
        if here != own {
            return Err(Error::usage(format!(
                "this is {here} of the queries, and the share is that of {own}"
            )));
        }
        Ok(Evidence::of(released, self.common.clone()))
    }

    /// Documents that are drawn from, beside those of the part.
    pub fn documents(&self) -> impl Iterator<Item = (u64, &str)> {
        self.documents.iter().map(|(code, text, _)| (*code, text.as_str()))
    }

    /// Negatives of the part, and training rows.
    ///
    /// # Errors
    /// As [`select`](crate::select::select).
    pub fn selection(
        self,
        evidence: &Evidence,
        beside: Beside,
        config: &SelectConfig,
        seed: Seed,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Selection> {
        let budget = evidence.released.tables.budget();
        let (alike, by_shown) = self.alike.into_alike(budget, threads, pulse)?;
        let shown: Vec<u64> = match self.popularity {
            true => self.documents.iter().map(|(.., shown)| *shown).collect(),
            false => Vec::new(),
        };
        let codes = self.documents.into_iter().map(|(code, ..)| code).collect();
        let documents = Documents::weighed(codes, &shown);
        let knowledge = Knowledge { alike, shown: by_shown, beside, documents, decided: Some(self.decided) };
        made(evidence, knowledge, config, seed, threads, pulse)
    }
}

/// What all parts together have to know of the selection of one.
///
/// # Errors
/// Only where memory runs out.
pub fn outcome(made: &Selection) -> Result<Vec<u8>> {
    packed(&Outcome { yields: made.selected.yields.clone(), uses: made.selected.uses() })
}
