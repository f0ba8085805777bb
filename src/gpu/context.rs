//! Adapter, device, capabilities, and what went wrong with them since.

use super::wgsl::Host;
use crate::error::{Error, Result};
use crate::kernels::{Caps, Tier};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How to open a device.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuOptions {
    /// Use only what this tier may; None = everything the adapter has.
    pub tier: Option<Tier>,
    /// Accept a software adapter (SwiftShader, llvmpipe), which is about 100 times slower than the CPU itself.
    pub allow_software: bool,
    /// Pretend that no binding may be larger (tests of split matrices).
    pub max_binding_bytes: Option<u64>,
    /// Pretend that no buffer may be larger (tests).
    pub max_buffer_bytes: Option<u64>,
}

/// An adapter and what wgpu does not tell about it on the web.
pub(super) struct Found {
    pub adapter: wgpu::Adapter,
    pub name: String,
    pub software: bool,
    pub subgroups: bool,
}

/// Failures that arrive outside of a call: a lost device stays lost, other errors are handed out once.
#[derive(Default)]
pub(super) struct Health {
    lost: Mutex<Option<String>>,
    error: Mutex<Option<Error>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    pub(super) fn lose(&self, why: &str) {
        lock(&self.lost).get_or_insert_with(|| {
            format!("The GPU device was lost ({why}). Load the model again; if it happens often, update the driver.")
        });
    }

    /// Keeps the first error: the others follow from it.
    pub(super) fn record(&self, error: wgpu::Error) {
        lock(&self.error).get_or_insert_with(|| typed(&error));
    }

    /// The error of an earlier call, if any.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(why) = lock(&self.lost).clone() {
            return Err(Error::DeviceLost(why));
        }
        match lock(&self.error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Our error for one of wgpu's.
pub(super) fn typed(error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory(
            "The GPU has no memory left for this model: close other programs and tabs, or choose a smaller model, a \
             stronger quantisation or a shorter context."
                .into(),
        ),
        other => Error::UnsupportedWebGpu(format!(
            "WebGPU rejected a call that it should accept; please report it with the name of the adapter: {other}"
        )),
    }
}

/// A device with its queue.
pub(super) struct Context {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub name: String,
    pub caps: Caps,
    pub host: Host,
    pub max_workgroups: u32,
    pub health: Arc<Health>,
}

impl Context {
    pub(super) async fn new(options: &GpuOptions) -> Result<Context> {
        let found = find_adapter().await?;
        if found.software && !options.allow_software {
            return Err(Error::UnsupportedWebGpu(format!(
                "The only WebGPU adapter here is a software one ({}), about 100 times slower than a GPU: turn on \
                 hardware acceleration or update the graphics driver. For tests, allow it explicitly \
                 (allowSoftwareAdapter).",
                found.name
            )));
        }
        let limits = found.adapter.limits();
        let at_most = |limit: u64, wanted: Option<u64>| limit.min(wanted.unwrap_or(u64::MAX)) & !15;
        let mut caps = Caps {
            f16: found.adapter.features().contains(wgpu::Features::SHADER_F16),
            subgroups: found.subgroups,
            max_binding_bytes: at_most(limits.max_storage_buffer_binding_size, options.max_binding_bytes),
            max_buffer_bytes: at_most(limits.max_buffer_size, options.max_buffer_bytes),
            software: found.software,
        };
        if let Some(tier) = options.tier {
            caps = caps.restricted(tier).ok_or_else(|| no_such_tier(tier, &caps, &found.name))?;
        }

        let mut features = wgpu::Features::empty();
        features.set(wgpu::Features::SHADER_F16, caps.f16);
        // wgpu's web backend has no name for it: `web.rs` adds it to the request.
        features.set(wgpu::Features::SUBGROUP, caps.subgroups && cfg!(not(target_arch = "wasm32")));
        // Only the native profiler uses it.
        let timestamps = found.adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        features.set(wgpu::Features::TIMESTAMP_QUERY, timestamps && cfg!(not(target_arch = "wasm32")));
        let max_workgroups = limits.max_compute_workgroups_per_dimension;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("lacewing"),
            required_features: features,
            required_limits: limits,
            ..Default::default()
        };
        let (device, queue) = found.adapter.request_device(&descriptor).await.map_err(|e| {
            Error::UnsupportedWebGpu(format!("The adapter {} gives no device: {e}. Restart the browser.", found.name))
        })?;

        let health = Arc::new(Health::default());
        let (on_loss, on_error) = (health.clone(), health.clone());
        device.set_device_lost_callback(move |reason, message| {
            on_loss.lose(&format!("{reason:?}: {}", if message.is_empty() { "no reason given" } else { &message }));
        });
        device.on_uncaptured_error(Arc::new(move |error| on_error.record(error)));
        let host = host(&device, &mut caps).await;
        Ok(Context { device, queue, name: found.name, caps, host, max_workgroups, health })
    }

    /// Blocks until a submission is done and the callbacks of its maps have run.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        self.health.check()?;
        let poll = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        // wgpu 30 panics when the device is lost during the wait (`handle_error_fatal` in `Device::poll`); delete the
        // guard when `PollError` has a case for it.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.device.poll(poll)));
        match outcome {
            Ok(Ok(_)) => {}
            Ok(Err(e)) => self.health.lose(&e.to_string()),
            Err(_) => self.health.lose("lost while waiting for it"),
        }
        self.health.check()
    }
}

fn no_such_tier(tier: Tier, caps: &Caps, name: &str) -> Error {
    let has = |yes| if yes { "has" } else { "lacks" };
    Error::UnsupportedWebGpu(format!(
        "The tier `{}` needs features that the adapter {name} does not have: it {} shader-f16 and {} subgroups. Its \
         own tier is `{}`.",
        tier.name(),
        has(caps.f16),
        has(caps.subgroups),
        caps.tier().name()
    ))
}

#[cfg(not(target_arch = "wasm32"))]
async fn find_adapter() -> Result<Found> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    let adapter = instance.request_adapter(&options).await.map_err(|e| {
        Error::UnsupportedWebGpu(format!(
            "No GPU was found through Vulkan, Metal or Direct3D 12: install or update the graphics driver ({e})."
        ))
    })?;
    let info = adapter.get_info();
    Ok(Found {
        name: format!("{} ({:?})", info.name, info.backend),
        software: info.device_type == wgpu::DeviceType::Cpu,
        subgroups: adapter.features().contains(wgpu::Features::SUBGROUP),
        adapter,
    })
}

#[cfg(target_arch = "wasm32")]
async fn find_adapter() -> Result<Found> {
    super::web::find_adapter().await
}

#[cfg(not(target_arch = "wasm32"))]
async fn host(_device: &wgpu::Device, _caps: &mut Caps) -> Host {
    Host::Naga
}

/// WGSL goes to the browser's own compiler. Only `enable subgroups;` tells them apart, so try it.
#[cfg(target_arch = "wasm32")]
async fn host(device: &wgpu::Device, caps: &mut Caps) -> Host {
    const BODY: &str = "@compute @workgroup_size(32) fn main() { _ = subgroupAdd(1u); }";
    let compiles = async |text: String| {
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let source = wgpu::ShaderSource::Wgsl(text.into());
        let _ = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        scope.pop().await.is_none()
    };
    if !caps.subgroups {
        return Host::Naga;
    }
    caps.subgroups = super::web::has_subgroups(device);
    if caps.subgroups && compiles(format!("enable subgroups;\n{BODY}")).await {
        return Host::Tint;
    }
    caps.subgroups = caps.subgroups && compiles(BODY.to_string()).await;
    Host::Naga
}
