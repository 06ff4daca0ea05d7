//! `anllm attention`: what tokens look at in one layer, under full attention and under a policy.

use anllm_core::{FullPolicy, Policy, PolicyKind};
use anllm_infer::{AttentionMap, Engine};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Framing, Tokenizer};
use serde::{Deserialize, Serialize};

use super::eval::Head;
use super::setup::{self, Rules};
use super::{anchors, aside};
use crate::args::{AttentionArgs, HeadChoice};
use crate::device::{Task, run_on};
use crate::figures::{self, Heat};
use crate::output::Output;

/// What `--json` prints, after the row's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Maps {
    /// Counted from 0.
    pub(crate) layer: usize,
    /// Its number, or `mean`.
    pub(crate) head: String,
    /// The tokens' texts, `T` of them.
    pub(crate) tokens: Vec<String>,
    /// Which of them are anchors.
    pub(crate) anchors: Vec<usize>,
    /// Full attention first, then the policy's.
    pub(crate) maps: Vec<PolicyMap>,
}

/// One policy's map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PolicyMap {
    pub(crate) policy: String,
    /// Mean share that a token gives to the anchors before its own segment.
    pub(crate) to_earlier_anchors: f64,
    /// A row for each query: what it gives to each key up to itself.
    pub(crate) shares: Vec<Vec<f32>>,
}

pub(crate) fn run(args: AttentionArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    args.svg.as_deref().map_or(Ok(()), aside::check)?;
    let text = match (&args.prompt, &args.text) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => setup::read_text(file)?,
        (None, None) => setup::SAMPLE_TEXT.to_owned(),
    };
    let checkpoint = args.run.model.open()?;
    let tokenizer = checkpoint.tokenizer()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Anchor)?;
    let mut ids = tokenizer.encode(&text, Framing::Framed)?;
    ids.truncate(args.limit_tokens);
    let head = Head::new("attention", &args.run, &rules);
    let (device, svg) = (args.run.device, args.svg.clone());
    let maps = run_on(device, Attention { args, checkpoint, tokenizer, rules, ids })?;
    if let Some(file) = svg {
        aside::write(&file, &figures::file(&figures::stacked(&maps.pictures())))?;
        output.note(&format!("wrote {}", file.display()));
    }
    match output.is_json() {
        true => output.json(&head.with(maps)),
        false => output.text(&maps.drawing()),
    }
}

struct Attention {
    args: AttentionArgs,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    rules: Rules,
    ids: Vec<u32>,
}

impl Task for Attention {
    type Output = Maps;

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Maps> {
        let Self { args, checkpoint, tokenizer, rules, ids } = self;
        let engine = setup::engine::<B>(&args.run, &checkpoint, rules.matcher.clone(), &device)?;
        let layer = args.layer.unwrap_or(engine.decoder().blocks.len() / 2);
        let full: Policy = FullPolicy.into();
        let mut policies = vec![full];
        if rules.policy.name() != policies[0].name() {
            policies.push(rules.policy);
        }
        let maps = policies.iter().map(|policy| map(&engine, &ids, policy, layer, args.head));
        Ok(Maps {
            layer,
            head: args.head.to_string(),
            tokens: anchors::spelled(&tokenizer, &ids),
            anchors: engine.matcher().segments(&ids).anchors().to_vec(),
            maps: maps.collect::<anyhow::Result<_>>()?,
        })
    }
}

fn map<B: Kernels>(
    engine: &Engine<B>,
    ids: &[u32],
    policy: &Policy,
    layer: usize,
    head: HeadChoice,
) -> anyhow::Result<PolicyMap> {
    let map: AttentionMap = engine.attention(ids, &**policy, layer)?;
    let shares = match head {
        HeadChoice::Mean => map.mean(),
        HeadChoice::One(number) => {
            let found = map.head(number).map(<[f32]>::to_vec);
            found
                .ok_or_else(|| anyhow::anyhow!("--head {number}: this model has {} heads, counted from 0", map.heads))?
        }
    };
    let places = map.segments.places();
    let rows = shares.chunks(places.len()).zip(places);
    let to_anchors = rows.clone().map(|(row, query)| {
        let earlier = places.iter().zip(row).filter(|(key, _)| key.anchor && key.segment < query.segment);
        earlier.map(|(_, share)| f64::from(*share)).sum::<f64>()
    });
    let to_earlier_anchors = to_anchors.sum::<f64>() / places.len() as f64;
    // Four digits are more than a picture shows.
    let round = |share: &f32| (share * 1e4).round() / 1e4;
    let shares = rows.map(|(row, query)| row[..=query.index].iter().map(round).collect()).collect();
    Ok(PolicyMap { policy: policy.name(), to_earlier_anchors, shares })
}

impl Maps {
    /// A picture for each map.
    pub(crate) fn pictures(&self) -> Vec<String> {
        let size = self.tokens.len();
        let draw = |map: &PolicyMap| {
            let mut values = vec![0.0; size * size];
            for (row, shares) in map.shares.iter().enumerate().take(size) {
                let shares = &shares[..shares.len().min(size)];
                values[row * size..row * size + shares.len()].copy_from_slice(shares);
            }
            let heat = Heat {
                title: format!("{}: layer {}, head {}", map.policy, self.layer, self.head),
                values: &values,
                columns: size,
                rows: self.tokens.iter().map(|token| token.replace(['\n', '\r'], "↵")).collect(),
                marked: &self.anchors,
                most: 0.6,
            };
            heat.svg()
        };
        self.maps.iter().map(draw).collect()
    }

    /// The maps with characters: the darker, the more.
    fn drawing(&self) -> String {
        const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
        let mut text = String::new();
        for map in &self.maps {
            text.push_str(&format!(
                "{}: layer {}, head {}; {:.1} % goes to earlier anchors\n",
                map.policy,
                self.layer,
                self.head,
                100.0 * map.to_earlier_anchors
            ));
            for (row, (token, shares)) in self.tokens.iter().zip(&map.shares).enumerate() {
                let token: String = token.chars().filter(|c| !c.is_control()).take(12).collect();
                let name = if self.anchors.contains(&row) { format!("⟨{token}⟩") } else { token };
                let padding = " ".repeat(14_usize.saturating_sub(name.chars().count()));
                let shade = |share: &f32| SHADES[((share.sqrt() * 5.0) as usize).min(4)];
                text.push_str(&format!("{row:>3} {name}{padding} │{}\n", shares.iter().map(shade).collect::<String>()));
            }
            text.push('\n');
        }
        text.push_str("each row is a token that looks; its shares: · under 4 %, ░ 16 %, ▒ 36 %, ▓ 64 %, █ above\n");
        text
    }
}
