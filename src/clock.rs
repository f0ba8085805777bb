//! Monotonic seconds, natively and in JavaScript.

/// Seconds since some fixed moment.
#[cfg(not(target_arch = "wasm32"))]
pub fn seconds() -> f64 {
    use std::{sync::OnceLock, time::Instant};
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Seconds since some fixed moment: `performance.now()`, which every JavaScript runtime has, in workers too.
#[cfg(target_arch = "wasm32")]
pub fn seconds() -> f64 {
    use wasm_bindgen::{JsCast, JsValue};
    thread_local! {
        static NOW: Option<(JsValue, js_sys::Function)> = {
            let performance = js_sys::Reflect::get(&js_sys::global(), &"performance".into()).ok();
            performance.and_then(|p| {
                let now = js_sys::Reflect::get(&p, &"now".into()).ok()?.dyn_into().ok()?;
                Some((p, now))
            })
        };
    }
    NOW.with(|n| n.as_ref().and_then(|(p, now)| now.call0(p).ok()?.as_f64()).unwrap_or_else(js_sys::Date::now)) / 1000.0
}

/// Seconds since 1970-01-01 UTC.
#[cfg(not(target_arch = "wasm32"))]
pub fn unix_seconds() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|d| d.as_secs_f64()).unwrap_or(0.0)
}

/// Seconds since 1970-01-01 UTC.
#[cfg(target_arch = "wasm32")]
pub fn unix_seconds() -> f64 {
    js_sys::Date::now() / 1000.0
}
