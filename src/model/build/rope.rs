//! The rotary embeddings of a model, one per distinct description; layers find theirs by their type.

use super::super::archs::Arch;
use super::super::config::{ArchInfo, RopeInfo};
use super::super::rope::inverse_frequencies;
use super::super::spec::{RopeScaling, RopeSpec};
use super::super::tensors::ROPE_FREQS;
use super::WINDOW_LAYER;
use crate::error::{Error, Result};

pub(super) struct Ropes<'a> {
    info: &'a ArchInfo,
    arch: &'a Arch,
    head_dim: u32,
    context_length: u32,
    factors: Option<Vec<f32>>,
    /// What layers asked for so far.
    pub(super) specs: Vec<RopeSpec>,
}

impl<'a> Ropes<'a> {
    pub(super) fn new(
        info: &'a ArchInfo,
        arch: &'a Arch,
        head_dim: u32,
        context_length: u32,
        factors: Option<Vec<f32>>,
    ) -> Ropes<'a> {
        Ropes { info, arch, head_dim, context_length, factors, specs: Vec::new() }
    }

    /// Index of the rotary embedding of layers of this type.
    pub(super) fn index_of(&mut self, layer_type: &str) -> Result<usize> {
        let spec = self.spec(&self.described(layer_type))?;
        if let Some(i) = self.specs.iter().position(|s| *s == spec) {
            return Ok(i);
        }
        self.specs.push(spec);
        Ok(self.specs.len() - 1)
    }

    fn described(&self, layer_type: &str) -> RopeInfo {
        let default = RopeInfo { kind: "default".into(), ..RopeInfo::default() };
        let by_type = self.info.ropes.iter().find(|r| r.layer_type.as_deref() == Some(layer_type));
        if let Some(rope) = by_type {
            return rope.clone();
        }
        let shared = self.info.ropes.iter().find(|r| r.layer_type.is_none()).cloned().unwrap_or(default.clone());
        match self.arch.window_rope_theta {
            // Files name the base, and a scaling, of the full layers only.
            Some(theta) if layer_type == WINDOW_LAYER => RopeInfo {
                theta: Some(self.info.window_rope_theta.unwrap_or(theta)),
                partial: shared.partial,
                ..default
            },
            _ => shared,
        }
    }

    fn spec(&self, described: &RopeInfo) -> Result<RopeSpec> {
        let head_dim = self.head_dim;
        let theta = described.theta.unwrap_or(10000.0);
        if !(theta.is_finite() && theta > 0.0) {
            return Err(Error::BadFile(format!("rope theta is {theta}, expected a positive number")));
        }
        let partial = described.partial.unwrap_or(1.0);
        if !(partial > 0.0 && partial <= 1.0) {
            return Err(Error::BadFile(format!("partial_rotary_factor is {partial}, expected a number in (0, 1]")));
        }
        let n_rot = self.info.n_rot.unwrap_or((f64::from(head_dim) * partial) as u32);
        if !n_rot.is_multiple_of(2) || n_rot > head_dim {
            return Err(Error::BadFile(format!(
                "{n_rot} rotated dimensions in heads of {head_dim}: expected an even number up to the head's"
            )));
        }
        if self.info.gguf && self.arch.gguf_permuted && n_rot != head_dim {
            return Err(Error::UnsupportedModel(format!(
                "a GGUF of {} that rotates {n_rot} of {head_dim} dimensions per head is not supported: expected all of \
                 them",
                self.arch.name
            )));
        }
        let mut scaling = described.scaling(self.context_length)?;
        if let Some(factors) = &self.factors {
            if factors.len() != (n_rot / 2) as usize || !factors.iter().all(|f| f.is_finite() && *f > 0.0) {
                return Err(Error::BadFile(format!(
                    "{ROPE_FREQS} has {} factors, expected {} positive ones (one per rotated pair)",
                    factors.len(),
                    n_rot / 2
                )));
            }
            let linear = if let RopeScaling::Linear { factor } = scaling { factor as f32 } else { 1.0 };
            scaling = RopeScaling::Factors(factors.iter().map(|f| f * linear).collect());
        }
        let rope = RopeSpec { n_rot, theta, scaling };
        // A base or factor far from what models have would fill the table of angles with NaN.
        if !inverse_frequencies(&rope).iter().all(|f| (f * self.context_length as f32).is_finite()) {
            return Err(Error::BadFile(format!(
                "rope theta {theta} and its scaling give angles beyond what f32 holds: expected a theta of about 1e4 to \
                 1e8"
            )));
        }
        Ok(rope)
    }
}
