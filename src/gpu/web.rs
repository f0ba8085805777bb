//! Gaps of wgpu 30's web backend, closed from outside. Each can go when its condition holds.
//!
//! * `subgroups`: the backend's table of features lacks it (wgpu issue 10146, PR 10220), so it can neither be seen nor
//!   requested. We ask the browser for the adapter ourselves, give that one object a `requestDevice` of its own that
//!   adds the feature, and hand it to wgpu by shadowing `requestAdapter` for one call. Delete when wgpu maps it.
//! * Adapter facts: wgpu gives only `description`, which is empty outside of developer builds.
//! * Global scope: wgpu panics unless `Window` or `WorkerGlobalScope` exists; Node and Deno have neither.
//! * Firefox polls for finished work every 100 ms only (bug 1870699), except when something is submitted. While a
//!   result is awaited we submit nothing every millisecond, which brings it down to a few. Delete when that is fixed.

use super::context::Found;
use crate::error::{Error, Result};
use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// Milliseconds between empty submissions in Firefox.
const NUDGE_MS: f64 = 1.0;
/// A lost device may never answer: stop nudging after this long and simply wait.
const NUDGE_AT_MOST_MS: f64 = 10_000.0;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;

    type MessageChannel;
    #[wasm_bindgen(constructor)]
    fn new() -> MessageChannel;
    #[wasm_bindgen(method, getter)]
    fn port1(this: &MessageChannel) -> MessagePort;
    #[wasm_bindgen(method, getter)]
    fn port2(this: &MessageChannel) -> MessagePort;

    type MessagePort;
    #[wasm_bindgen(method, setter)]
    fn set_onmessage(this: &MessagePort, handler: &Function);
    #[wasm_bindgen(method, js_name = postMessage)]
    fn post_message(this: &MessagePort, message: u32);
    #[wasm_bindgen(method)]
    fn close(this: &MessagePort);
}

/// Nanoseconds of the page's monotonic clock.
pub(super) fn now_ns() -> u64 {
    (performance_now() * 1e6) as u64
}

fn get(object: &JsValue, name: &str) -> JsValue {
    if object.is_undefined() || object.is_null() {
        return JsValue::UNDEFINED;
    }
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn call(object: &JsValue, name: &str, argument: &JsValue) -> Result<JsValue, JsValue> {
    get(object, name).dyn_into::<Function>()?.call1(object, argument)
}

fn text(object: &JsValue, name: &str) -> String {
    get(object, name).as_string().unwrap_or_default()
}

fn unsupported(why: impl std::fmt::Display) -> Error {
    Error::UnsupportedWebGpu(format!(
        "WebGPU is not available here: {why}. It needs a current Chrome, Edge, Firefox or Safari (in a secure context), \
         Deno, or Node with the `webgpu` package."
    ))
}

fn described(error: &JsValue) -> String {
    let message = text(error, "message");
    if message.is_empty() { format!("{error:?}") } else { message }
}

pub(super) async fn find_adapter() -> Result<Found> {
    let gpu = get(&get(&js_sys::global(), "navigator"), "gpu");
    if gpu.is_undefined() || gpu.is_null() {
        return Err(unsupported("`navigator.gpu` does not exist"));
    }
    let wanted = Object::new();
    let refused = |e: JsValue| unsupported(described(&e));
    Reflect::set(&wanted, &"powerPreference".into(), &"high-performance".into()).map_err(refused)?;
    let promise = call(&gpu, "requestAdapter", &wanted).map_err(refused)?;
    let adapter = JsFuture::from(Promise::resolve(&promise)).await.map_err(refused)?;
    if adapter.is_undefined() || adapter.is_null() {
        return Err(unsupported("the browser has no adapter (graphics driver missing, blocked or too old)"));
    }
    let subgroups = has(&get(&adapter, "features"), "subgroups");
    if subgroups {
        request_with_subgroups(&adapter).map_err(refused)?;
    }
    let info = get(&adapter, "info");
    // Deno gives the ids of vendor and device as numbers.
    let mut facts: Vec<String> =
        ["vendor", "architecture", "device", "description"].iter().map(|k| text(&info, k)).collect();
    facts.retain(|fact| fact.contains(|c: char| !c.is_ascii_digit()));
    let name = facts.join(" ");
    let lower = name.to_lowercase();
    let software = get(&adapter, "isFallbackAdapter").is_truthy()
        || get(&info, "isFallbackAdapter").is_truthy()
        || ["swiftshader", "llvmpipe", "lavapipe", "basic render"].iter().any(|s| lower.contains(s));
    let name = if name.is_empty() { "unnamed adapter".to_string() } else { name };
    Ok(Found { adapter: hand_over(&gpu, &adapter).await?, name, software, subgroups })
}

fn has(features: &JsValue, name: &str) -> bool {
    call(features, "has", &name.into()).is_ok_and(|found| found.is_truthy())
}

/// Whether the device was created with the feature.
pub(super) fn has_subgroups(device: &wgpu::Device) -> bool {
    device.as_webgpu().is_some_and(|device| has(&get(device.as_ref(), "features"), "subgroups"))
}

/// Shadows `requestDevice` on this adapter only.
fn request_with_subgroups(adapter: &JsValue) -> Result<(), JsValue> {
    let original: Function = get(adapter, "requestDevice").dyn_into()?;
    let this = adapter.clone();
    let wrapper = Closure::once_into_js(move |descriptor: JsValue| -> Result<JsValue, JsValue> {
        let required = Array::from(&get(&descriptor, "requiredFeatures"));
        required.push(&"subgroups".into());
        Reflect::set(&descriptor, &"requiredFeatures".into(), &required)?;
        original.call1(&this, &descriptor)
    });
    Reflect::set(adapter, &"requestDevice".into(), &wrapper).map(|_| ())
}

/// Lets wgpu take `adapter` for its own: `gpu.requestAdapter` answers with it once.
async fn hand_over(gpu: &JsValue, adapter: &JsValue) -> Result<wgpu::Adapter> {
    let answer = Promise::resolve(adapter);
    let once = Closure::once_into_js(move |_options: JsValue| -> JsValue { answer.into() });
    let request = shadowed(gpu, "requestAdapter", &once, || {
        let global: JsValue = js_sys::global().into();
        let no_scope = get(&global, "Window").is_undefined() && get(&global, "WorkerGlobalScope").is_undefined();
        let new = || wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let instance = if no_scope { shadowed(&global, "WorkerGlobalScope", &Object::new(), new) } else { new() };
        instance.request_adapter(&wgpu::RequestAdapterOptions::default())
    });
    request.await.map_err(unsupported)
}

/// Runs `body` while `object[name]` is `value`.
fn shadowed<T>(object: &JsValue, name: &str, value: &JsValue, body: impl FnOnce() -> T) -> T {
    let own = Reflect::get_own_property_descriptor(object.unchecked_ref::<Object>(), &name.into());
    let own = own.is_ok_and(|descriptor| !descriptor.is_undefined());
    let before = get(object, name);
    let _ = Reflect::set(object, &name.into(), value);
    let result = body();
    let _ = if own {
        Reflect::set(object, &name.into(), &before)
    } else {
        Reflect::delete_property(object.unchecked_ref::<Object>(), &name.into())
    };
    result
}

/// Whether finished work is only noticed when something is submitted.
pub(super) fn needs_nudges() -> bool {
    text(&get(&js_sys::global(), "navigator"), "userAgent").contains("Firefox")
}

/// Submits nothing now and then until `settled` says that the awaited result is here.
pub(super) async fn nudge(queue: &wgpu::Queue, settled: impl Fn() -> bool) {
    let channel = MessageChannel::new();
    let (from, to) = (channel.port1(), channel.port2());
    let start = performance_now();
    let mut last = f64::NEG_INFINITY;
    while !settled() && performance_now() - start < NUDGE_AT_MOST_MS {
        // A message comes back on the next task; a timer would be clamped to 4 ms.
        let next_task = Promise::new(&mut |resolve, _| {
            from.set_onmessage(&resolve);
            to.post_message(0);
        });
        let _ = JsFuture::from(next_task).await;
        if !settled() && performance_now() - last >= NUDGE_MS {
            last = performance_now();
            queue.submit([]);
        }
    }
    from.close();
}
