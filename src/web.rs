//! What JavaScript sees of the crate (wasm32 only): a thin class over [`crate::session::Model`], without logic.
//!
//! `pkg/src/local.ts` is its only caller. Files come in as an object with the methods of `pkg/src/files.ts`; errors
//! cross in both directions as `{code, message, details, cause}`.

use crate::error::{Error, Result};
use crate::formats::source::{ByteSource, Files, LocalFuture, missing};
use crate::gpu::{Gpu, GpuOptions};
use crate::kernels::{KvType, Tier};
use crate::session::{GenerateOptions, LoadOptions, Model, SessionId};
use js_sys::{Function, Object, Reflect, Uint8Array};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `Files` of `pkg/src/files.ts`.
    pub type JsFiles;
    #[wasm_bindgen(method)]
    fn main(this: &JsFiles) -> Option<String>;
    #[wasm_bindgen(method, catch)]
    async fn open(this: &JsFiles, name: &str, needed: bool) -> Result<JsValue, JsValue>;

    /// `ByteSource` of `pkg/src/files.ts`.
    type JsSource;
    #[wasm_bindgen(method, getter)]
    fn name(this: &JsSource) -> String;
    #[wasm_bindgen(method, getter)]
    fn size(this: &JsSource) -> f64;
    #[wasm_bindgen(method, catch)]
    async fn read(this: &JsSource, offset: f64, length: f64) -> Result<JsValue, JsValue>;
}

/// Sets what is called with the message of a panic, just before the instance stops for good.
#[wasm_bindgen(js_name = setPanicHandler)]
pub fn set_panic_handler(handler: Function) {
    thread_local! {
        static HANDLER: RefCell<Option<Function>> = const { RefCell::new(None) };
    }
    HANDLER.with(|slot| slot.replace(Some(handler)));
    std::panic::set_hook(Box::new(|info| {
        HANDLER.with(|slot| {
            if let Ok(Some(handler)) = slot.try_borrow().as_deref() {
                // A handler that throws changes nothing: the instance stops anyway.
                let _ = handler.call1(&JsValue::NULL, &info.to_string().into());
            }
        });
    }));
}

/// A loaded model. One call at a time may be under way, except for `cancel`.
#[wasm_bindgen]
pub struct Engine {
    model: RefCell<Model>,
    cancel: Rc<Cell<bool>>,
}

// A call lends the model to its future; a second one that comes meanwhile gets an error, not a panic.
#[allow(clippy::await_holding_refcell_ref)]
#[wasm_bindgen]
impl Engine {
    /// Loads a model from `files`. `options` is `EngineOptions` of `pkg/src/engine.ts`; `on_progress` is called with
    /// the bytes downloaded, uploaded and in total, and may throw to end the load.
    pub async fn load(files: JsFiles, options: JsValue, on_progress: Function) -> Result<Engine, JsValue> {
        let options: EngineOptions = from_js(options)?;
        let gpu = Gpu::new(options.gpu()?).await.map_err(to_js)?;
        let thrown = Rc::new(RefCell::new(None));
        let files = Rc::new(PageFiles { files, thrown: thrown.clone() });
        let mut progress = |p: crate::session::Progress| {
            let numbers = [p.downloaded_bytes, p.uploaded_bytes, p.total_bytes].map(|n| JsValue::from_f64(n as f64));
            if let Err(e) = on_progress.call3(&JsValue::NULL, &numbers[0], &numbers[1], &numbers[2]) {
                thrown.borrow_mut().get_or_insert(from_thrown(&e));
            }
        };
        let model = Model::load(files, Box::new(gpu), options.load()?, &mut progress).await.map_err(to_js)?;
        if let Some(error) = thrown.take() {
            return Err(to_js(error));
        }
        let cancel = model.cancel_flag();
        Ok(Engine { model: RefCell::new(model), cancel })
    }

    fn model(&self) -> Result<RefMut<'_, Model>, JsValue> {
        self.model.try_borrow_mut().map_err(|_| {
            to_js(Error::BadRequest("The engine is busy with another call: wait for that one first.".into()))
        })
    }

    /// Whether the model came with a chat template.
    #[wasm_bindgen(js_name = hasChatTemplate)]
    pub fn has_chat_template(&self) -> Result<bool, JsValue> {
        Ok(self.model()?.has_chat_template())
    }

    /// Token ids of a text.
    pub fn tokenize(&self, text: &str, add_special: bool) -> Result<Vec<u32>, JsValue> {
        self.model()?.tokenize(text, add_special).map_err(to_js)
    }

    /// Token ids of a conversation through the chat template.
    #[wasm_bindgen(js_name = tokenizeChat)]
    pub fn tokenize_chat(&self, messages: JsValue, tools: JsValue) -> Result<Vec<u32>, JsValue> {
        let (messages, tools) = (from_js(messages)?, from_js(tools)?);
        self.model()?.tokenize_chat(&messages, &tools).map_err(to_js)
    }

    /// Text of token ids.
    pub fn detokenize(&self, ids: Vec<u32>, skip_special: bool) -> Result<String, JsValue> {
        self.model()?.detokenize(&ids, skip_special).map_err(to_js)
    }

    /// A session with a state of its own, empty.
    #[wasm_bindgen(js_name = createSession)]
    pub fn create_session(&self) -> Result<u32, JsValue> {
        Ok(self.model()?.create_session().0)
    }

    /// A session that begins where another is.
    #[wasm_bindgen(js_name = forkSession)]
    pub async fn fork_session(&self, session: u32) -> Result<u32, JsValue> {
        Ok(self.model()?.fork_session(SessionId(session)).await.map_err(to_js)?.0)
    }

    /// Gives a session and its memory up.
    #[wasm_bindgen(js_name = closeSession)]
    pub async fn close_session(&self, session: u32) -> Result<(), JsValue> {
        self.model()?.close_session(SessionId(session)).await.map_err(to_js)
    }

    /// Starts a reply in a session; `options` is `SamplingOptions` of `pkg/src/engine.ts`.
    pub async fn begin(&self, session: u32, ids: Vec<u32>, options: JsValue) -> Result<(), JsValue> {
        let options: GenerateOptions = from_js(options)?;
        self.model()?.begin_in(SessionId(session), &ids, &options).await.map_err(to_js)
    }

    /// The next piece of the reply `{text, ids}`; null at its end.
    pub async fn next(&self) -> Result<JsValue, JsValue> {
        let piece = self.model()?.next().await.map_err(to_js)?;
        piece.map_or(Ok(JsValue::NULL), |piece| to_plain(&piece))
    }

    /// What the last reply cost; null while it goes on.
    pub fn usage(&self) -> Result<JsValue, JsValue> {
        self.model()?.usage().map_or(Ok(JsValue::NULL), |usage| to_plain(&usage))
    }

    /// Makes the running `begin`, `next` or `logits` fail with `aborted`.
    pub fn cancel(&self) {
        self.cancel.set(true);
    }

    /// Logits of every position of a fresh context.
    pub async fn logits(&self, ids: Vec<u32>, chunk: Option<u32>) -> Result<Vec<f32>, JsValue> {
        self.model()?.logits(&ids, chunk).await.map_err(to_js)
    }

    /// Facts and counters.
    pub fn stats(&self) -> Result<JsValue, JsValue> {
        to_plain(&self.model()?.stats())
    }
}

/// `EngineOptions` of `pkg/src/engine.ts`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct EngineOptions {
    context_length: Option<u32>,
    kv_storage: String,
    allow_software_adapter: bool,
    tier: Option<String>,
    depth: u32,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            context_length: None,
            kv_storage: LoadOptions::default().kv_type.name().into(),
            allow_software_adapter: false,
            tier: None,
            depth: LoadOptions::default().depth,
        }
    }
}

impl EngineOptions {
    fn gpu(&self) -> Result<GpuOptions, JsValue> {
        let known = |name: &String| {
            Tier::EACH.into_iter().find(|tier| tier.name() == name).ok_or_else(|| {
                let message = format!("`tier` is base, f16, subgroups or all; found \"{name}\".");
                to_js(Error::BadRequest(message).with("option", "tier"))
            })
        };
        let tier = self.tier.as_ref().map(known).transpose()?;
        Ok(GpuOptions { tier, allow_software: self.allow_software_adapter, ..GpuOptions::default() })
    }

    fn load(&self) -> Result<LoadOptions, JsValue> {
        let kv_type = KvType::parse(&self.kv_storage).map_err(|e| to_js(e.with("option", "kv.storage")))?;
        Ok(LoadOptions { context_length: self.context_length, kv_type, depth: self.depth, ..LoadOptions::default() })
    }
}

/// The page's files. After the progress callback has thrown, every read fails with what it threw.
struct PageFiles {
    files: JsFiles,
    thrown: Rc<RefCell<Option<Error>>>,
}

impl Files for PageFiles {
    fn main(&self) -> Option<String> {
        self.files.main()
    }

    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(self.open_page(name, false))
    }

    fn need<'a>(&'a self, name: &'a str, why: &'a str) -> LocalFuture<'a, Result<Rc<dyn ByteSource>>> {
        Box::pin(async move { self.open_page(name, true).await?.ok_or_else(|| missing(name, why)) })
    }
}

impl PageFiles {
    async fn open_page(&self, name: &str, needed: bool) -> Result<Option<Rc<dyn ByteSource>>> {
        let opened = self.files.open(name, needed).await.map_err(|e| from_thrown(&e))?;
        if opened.is_null() || opened.is_undefined() {
            return Ok(None);
        }
        let source: JsSource = opened.unchecked_into();
        let (name, size) = (source.name(), source.size());
        if !(0.0..=9007199254740991.0).contains(&size) {
            return Err(Error::BadFile(format!("{name} has an impossible length: {size} bytes.")));
        }
        Ok(Some(Rc::new(PageSource { source, name, size: size as u64, thrown: self.thrown.clone() })))
    }
}

struct PageSource {
    source: JsSource,
    name: String,
    size: u64,
    thrown: Rc<RefCell<Option<Error>>>,
}

impl ByteSource for PageSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            if let Some(error) = self.thrown.borrow().clone() {
                return Err(error);
            }
            let bytes = self.source.read(offset as f64, len as f64).await.map_err(|e| from_thrown(&e))?;
            let bytes: Uint8Array = bytes
                .dyn_into()
                .map_err(|_| Error::DownloadFailed(format!("{} did not read as a Uint8Array.", self.name)))?;
            if u64::from(bytes.length()) != len {
                let found = bytes.length();
                return Err(Error::DownloadFailed(format!("{}: {len} bytes asked, {found} received.", self.name)));
            }
            Ok(bytes.to_vec())
        })
    }
}

/// Something that JavaScript threw, on its way back to JavaScript: a key of `THROWN`, because errors are `Send`, which
/// no JsValue is.
#[derive(Debug)]
struct Thrown(u32);

thread_local! {
    static THROWN: RefCell<(u32, BTreeMap<u32, JsValue>)> = const { RefCell::new((0, BTreeMap::new())) };
}

impl Thrown {
    fn new(value: &JsValue) -> Thrown {
        THROWN.with_borrow_mut(|(last, values)| {
            *last = last.wrapping_add(1);
            values.insert(*last, value.clone());
            Thrown(*last)
        })
    }

    fn value(&self) -> JsValue {
        THROWN.with_borrow(|(_, values)| values.get(&self.0).cloned().unwrap_or_default())
    }
}

impl Drop for Thrown {
    fn drop(&mut self) {
        THROWN.with_borrow_mut(|(_, values)| values.remove(&self.0));
    }
}

impl std::fmt::Display for Thrown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.value())
    }
}

impl std::error::Error for Thrown {}

/// `{code, message, details, cause}`; what JavaScript threw with the same code comes back as it was.
fn to_js(error: Error) -> JsValue {
    let object = Object::new();
    let set = |key: &str, value: JsValue| {
        // Setting a property of a fresh object cannot fail.
        let _ = Reflect::set(&object, &key.into(), &value);
    };
    if let Some(cause) = error.cause() {
        match cause.downcast_ref::<Thrown>().map(Thrown::value) {
            Some(value) if text_of(&value, "code").as_deref() == Some(error.code()) => return value,
            Some(value) => set("cause", value),
            None => set("cause", js_sys::Error::new(&cause.to_string()).into()),
        }
    }
    set("code", error.code().into());
    set("message", error.to_string().into());
    // Details are JSON: they always convert.
    set("details", error.details().and_then(|details| to_plain(details).ok()).unwrap_or_else(|| Object::new().into()));
    object.into()
}

/// The error for whatever JavaScript threw.
fn from_thrown(thrown: &JsValue) -> Error {
    let message = text_of(thrown, "message").unwrap_or_else(|| format!("{thrown:?}"));
    Error::from_code(&text_of(thrown, "code").unwrap_or_default(), message).because(Thrown::new(thrown))
}

fn text_of(value: &JsValue, key: &str) -> Option<String> {
    Reflect::get(value, &key.into()).ok()?.as_string()
}

/// A value from JavaScript, or `bad-request` with what is wrong with it.
fn from_js<T: for<'de> Deserialize<'de>>(value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|e| to_js(Error::BadRequest(format!("The options are wrong: {e}."))))
}

/// A plain object (not a Map) for JavaScript.
fn to_plain(value: &impl Serialize) -> Result<JsValue, JsValue> {
    value
        .serialize(&serde_wasm_bindgen::Serializer::json_compatible())
        .map_err(|e| to_js(Error::BadRequest(e.to_string())))
}
