//! Connections: how many, how long they may take, and how they end.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

use crate::app::App;
use crate::server::Ended;

/// The longest head of a request, in bytes.
const HEAD: usize = 64 << 10;
/// How long handlers have to say that they were cut off.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Accepts connections until the server is told to stop, then waits for those that are answered.
pub(crate) async fn listen(socket: TcpListener, router: Router, app: &Arc<App>) -> Ended {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "cannot listen");
            return Ended::CutOff;
        }
    };
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(app.options.connections.clamp(1, Semaphore::MAX_PERMITS)));
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (place, socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = app.stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: others have to end first.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Tokens are small and must not wait for each other.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(app.options.write_time));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(app.options.head_time)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        app.metrics.connections.inc();
        let shared = Arc::clone(app);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            shared.metrics.connections.dec();
        });
    }
    drop(socket);
    let mut finished = std::pin::pin!(graceful.shutdown());
    let cut = async {
        tokio::select! {
            () = tokio::time::sleep(app.options.grace) => {}
            () = app.cut.cancelled() => {}
        }
    };
    tokio::select! {
        () = &mut finished => return Ended::Finished,
        () = cut => {}
    }
    app.cut.cancel();
    let _ = tokio::time::timeout(LAST_WORDS, finished).await;
    Ended::CutOff
}
