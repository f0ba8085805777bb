//! The one clock: monotonic seconds, the time of day and the date where the user is, natively and in JavaScript.

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

/// Seconds since 1970-01-01 00:00 on the user's own clock (local time zone), for texts that say what day it is.
#[cfg(not(target_arch = "wasm32"))]
pub fn local_seconds() -> i64 {
    chrono::Local::now().naive_local().and_utc().timestamp()
}

/// Seconds since 1970-01-01 00:00 on the user's own clock (local time zone), for texts that say what day it is.
#[cfg(target_arch = "wasm32")]
pub fn local_seconds() -> i64 {
    let now = js_sys::Date::new_0();
    // Minutes that UTC is ahead of the local time.
    (now.get_time() / 1000.0 - 60.0 * now.get_timezone_offset()).floor() as i64
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    #[test]
    fn the_local_clock_is_the_systems_with_its_offset() {
        let date = std::process::Command::new("date").arg("+%s %z").output();
        // Windows has no such command.
        let Ok(output) = date else { return };
        let text = String::from_utf8(output.stdout).unwrap();
        let (seconds, zone) = text.trim().split_once(' ').unwrap();
        let (sign, digits) = zone.split_at(1);
        let minutes = digits[..2].parse::<i64>().unwrap() * 60 + digits[2..].parse::<i64>().unwrap();
        let offset = if sign == "-" { -60 * minutes } else { 60 * minutes };
        let expected = seconds.parse::<i64>().unwrap() + offset;
        assert!((super::local_seconds() - expected).abs() < 60, "{} is not {text}", super::local_seconds());
        assert!((super::unix_seconds() - seconds.parse::<f64>().unwrap()).abs() < 60.0);
    }
}
