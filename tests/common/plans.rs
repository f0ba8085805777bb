//! The variants that plans ask for, found without a device.

use super::caps_of;
use super::specs::{Model, models};
use lacewing::Result;
use lacewing::execute::{BufferUse, Counters, Executor, PlanId, check_step};
use lacewing::formats::source::LocalFuture;
use lacewing::kernels::{BufferId, Caps, KvType, Step, Tier, Variant};
use lacewing::model::load::place;
use lacewing::model::plan::{BUCKETS, Output};
use lacewing::session::engine::Engine;
use std::collections::HashSet;

/// A variant that some plan uses.
pub struct Asked {
    pub variant: Variant,
    /// The best tier whose plans use it: a text that several tiers share is the same for all.
    pub tier: Tier,
    /// Model and step that asked first.
    pub by: String,
}

/// From the best tier down; f16 alone and subgroups alone have no order between them.
pub const BEST_FIRST: [Tier; 4] = [Tier::All, Tier::Subgroups, Tier::F16, Tier::Base];

/// The unique variants of all plans of [`models`] on all tiers, those of the best tier first.
pub fn asked() -> Vec<Asked> {
    let models = models();
    let mut asked = Vec::new();
    let mut seen: HashSet<Variant> = HashSet::new();
    for tier in BEST_FIRST {
        // What every device binds, and what discrete GPUs do: large matrices in parts and whole.
        for max_binding_bytes in [Caps::BASE.max_binding_bytes, 4 << 30] {
            let caps = Caps { max_binding_bytes, max_buffer_bytes: 4 << 30, ..caps_of(tier) };
            for model in &models {
                for step in steps(model, caps) {
                    if seen.insert(step.variant.clone()) {
                        let by = format!("{} of {} on {}", step.label, model.name, tier.name());
                        asked.push(Asked { variant: step.variant, tier, by });
                    }
                }
            }
        }
    }
    asked
}

/// Enough of `asked` for a software GPU, which takes a second to compile one text: every pair of a layout, tier, flag,
/// number of lanes and number of tokens that some variant has together, every set of flags, every constant.
pub fn pairwise(asked: &[Asked]) -> Vec<&Asked> {
    let mut covered = HashSet::new();
    let mut new = |stem: &'static str, what: String| covered.insert((stem, what));
    asked
        .iter()
        .filter(|a| covers(&a.variant).into_iter().filter(|c| new(a.variant.stem, c.clone())).count() > 0)
        .collect()
}

/// What running a variant covers.
fn covers(variant: &Variant) -> Vec<String> {
    let (tier, flags): (Vec<&str>, Vec<&str>) = variant.flags.iter().partition(|f| ["F16", "SUBGROUPS"].contains(f));
    let (paired, single): (Vec<_>, Vec<_>) = variant.consts.iter().partition(|(n, _)| ["LANES", "M"].contains(n));
    let text = |(name, value): &(&str, u32)| format!("{name}={value}");
    let mut features = vec![format!("{:?}", variant.layout), tier.join(".")];
    features.extend(flags.iter().map(|f| f.to_string()));
    features.extend(paired.iter().map(text));
    let mut covers = vec![flags.join(".")];
    covers.extend(single.iter().map(text));
    for (i, a) in features.iter().enumerate() {
        covers.extend(features[..i].iter().map(|b| format!("{a}, {b}")));
    }
    covers
}

/// The steps of every plan of a model.
fn steps(model: &Model, caps: Caps) -> Vec<Step> {
    let mut all = Vec::new();
    let kv_types: &[KvType] = if model.kv_f32 { &[KvType::F16, KvType::F32] } else { &[KvType::F16] };
    for kv_type in kv_types {
        let mut paper = Paper { caps, sizes: Vec::new() };
        let fail = |e| panic!("{}: {e}", model.name);
        let (weights, _) = place(&model.spec, &model.tensors, &mut paper).unwrap_or_else(fail);
        let spec = model.spec.clone();
        let context_length = spec.context_length;
        let engine = Engine::new(Box::new(paper), spec, weights, context_length, *kv_type, 0);
        let engine = engine.unwrap_or_else(|e| panic!("{}: {e}", model.name));
        for bucket in BUCKETS {
            for output in [Output::Nothing, Output::Token, Output::AllLogits] {
                all.extend(engine.steps(*bucket, output));
            }
        }
    }
    all
}

/// An executor whose buffers have sizes and no contents; it checks what it is told to compile.
struct Paper {
    caps: Caps,
    sizes: Vec<u64>,
}

impl Executor for Paper {
    fn adapter(&self) -> String {
        "paper".into()
    }
    fn caps(&self) -> Caps {
        self.caps
    }
    fn create_buffer(&mut self, _: &str, bytes: u64, _: BufferUse) -> Result<BufferId> {
        self.sizes.push(bytes);
        Ok(BufferId(self.sizes.len() as u32 - 1))
    }
    fn destroy_buffer(&mut self, _: BufferId) {}
    fn write(&mut self, _: BufferId, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn copy(&mut self, _: BufferId, _: u64, _: BufferId, _: u64, _: u64) -> Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn read(&mut self, _: BufferId, _: u64, _: u64) -> LocalFuture<'static, Result<Vec<u8>>> {
        unreachable!("nothing runs on paper")
    }
    fn compile(&mut self, steps: &[Step]) -> Result<PlanId> {
        let len_of = |id: BufferId| self.sizes.get(id.0 as usize).copied();
        for step in steps {
            check_step(step, &step.kernel.access(&step.variant), &self.caps, &len_of)?;
        }
        Ok(PlanId(0))
    }
    fn warm_up(&mut self, _: &[Step]) -> Result<()> {
        Ok(())
    }
    fn drop_plan(&mut self, _: PlanId) {}
    fn run(&mut self, _: PlanId) -> Result<()> {
        unreachable!("nothing runs on paper")
    }
    fn run_and_read_word(&mut self, _: PlanId, _: BufferId, _: u64) -> Result<LocalFuture<'static, Result<u32>>> {
        unreachable!("nothing runs on paper")
    }
    fn run_step(&mut self, _: PlanId, _: usize) -> Result<()> {
        unreachable!("nothing runs on paper")
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
}
