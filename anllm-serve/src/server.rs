//! The server as a whole: it listens at once, answers that it is loading, and serves once it is given an engine.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use anllm_infer::prefix::Resumed;
use anllm_infer::{Engine, Scheduler};
use anllm_kernels::Kernels;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::engine::{Job, work};
use crate::http;
use crate::listen;
use crate::model::Model;
use crate::options::Options;

/// Threads that talk with clients. The others are the engine's.
const THREADS: usize = 2;

/// A server that listens.
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    jobs: Receiver<Job>,
    listener: JoinHandle<Ended>,
    /// Called once it takes requests.
    announce: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}\n  hint: choose another --port, or the --host of an interface here")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// An origin that is none.
    #[error("`{origin}` is not an origin\n  hint: write it as browsers do, https://example.org, or * for all")]
    Origin {
        /// What was given.
        origin: String,
    },
    /// The system gives no threads.
    #[error("cannot start the threads that listen: {0}")]
    Threads(#[source] std::io::Error),
    /// The threads that listen are gone.
    #[error("the server stopped listening because of a defect; its log says more")]
    Listener,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything that ran was finished.
    Finished,
    /// What took longer than the grace period was cut off.
    CutOff,
}

/// Tells a server to stop.
#[derive(Debug, Clone)]
pub struct Stopper {
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Stopper {
    /// It takes nothing new, and ends when everything is finished, or the grace period over.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// It ends at once.
    pub fn cut(&self) {
        self.cut.cancel();
        self.stop.cancel();
    }
}

impl Server {
    /// Begins to listen. Until [`Self::run`] every request is told that the model is being loaded.
    ///
    /// # Errors
    /// When the address is taken, or an origin is none.
    pub fn bind(options: Options) -> Result<Self, ServeError> {
        let address = options.address;
        let bind = |source| ServeError::Bind { address, source };
        let socket = TcpListener::bind(address).map_err(bind)?;
        socket.set_nonblocking(true).map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        let (sender, jobs) = mpsc::channel();
        let app = Arc::new(App::new(options, sender));
        let router = http::router(&app)?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(THREADS).thread_name("anllm-http").enable_all().build();
        let runtime = runtime.map_err(ServeError::Threads)?;
        let shared = Arc::clone(&app);
        let listener = thread::Builder::new().name("anllm-listen".to_owned()).spawn(move || {
            // However it ends, the engine hears of it.
            let _end = EndOfJobs(Arc::clone(&shared));
            let ended = runtime.block_on(listen::listen(socket, router, &shared));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            ended
        });
        Ok(Self { address, app, jobs, listener: listener.map_err(ServeError::Threads)?, announce: Box::new(|| ()) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What tells it to stop.
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: self.app.stop.clone(), cut: self.app.cut.clone() }
    }

    /// Has `announce` called once the server takes requests.
    #[must_use]
    pub fn when_ready(self, announce: impl FnOnce() + Send + 'static) -> Self {
        Self { announce: Box::new(announce), ..self }
    }

    /// Serves `engine`, on this thread, until it is told to stop. CPU backends want to be called from one of their pool's
    /// threads (`rayon::scope`).
    ///
    /// # Errors
    /// When the threads that listen are gone.
    pub fn run<B: Kernels>(self, engine: &Engine<B>, model: Model) -> Result<Ended, ServeError> {
        self.serve(engine, Model { prefix_tokens: 0, ..model }, None)
    }

    /// The same where every prompt and conversation goes on from `prefix`, under its policy, which must be the model's.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_behind<B: Kernels>(
        self,
        engine: &Engine<B>,
        model: Model,
        prefix: Resumed<B>,
    ) -> Result<Ended, ServeError> {
        self.serve(engine, Model { prefix_tokens: prefix.session.seen(), ..model }, Some(prefix))
    }

    fn serve<B: Kernels>(
        self,
        engine: &Engine<B>,
        model: Model,
        prefix: Option<Resumed<B>>,
    ) -> Result<Ended, ServeError> {
        let Self { app, jobs, listener, announce, .. } = self;
        let (model, board) = (Arc::new(model), Arc::clone(&app.board));
        app.ready(Arc::clone(&model));
        announce();
        let scheduler = || {
            let scheduler = Scheduler::new(engine, &model.tokenizer, app.options.batch);
            match &prefix {
                Some(prefix) => scheduler.behind(prefix.clone()),
                None => scheduler,
            }
        };
        work(scheduler, &jobs, &board);
        // Whatever still comes is refused, since nobody takes it.
        drop(jobs);
        listener.join().map_err(|_| ServeError::Listener)
    }
}

/// Tells the engine that nobody is left to ask.
struct EndOfJobs(Arc<App>);

impl Drop for EndOfJobs {
    fn drop(&mut self) {
        let _ = self.0.jobs.send(Job::End);
    }
}
