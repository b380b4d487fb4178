//! Long transfers, each on a thread of its own.

use std::future::Future;

use tokio::sync::oneshot;

use crate::error::{Error, ExitCode, IoContext as _, Result};

/// Runs a transfer on a thread and runtime of its own. When this future is dropped, the transfer is
/// given up and its connection closed at once.
///
/// NOTE: a connection that lives on the caller's runtime stays open as long as nobody runs that, as
/// while a destination is dropped; and the engine removes no container that it still reads from or
/// writes to.
pub(super) async fn apart<T: Send + 'static>(
    transfer: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let what = || "cannot move the job's files".to_owned();
    let (_waiting, nobody_waits) = oneshot::channel::<()>();
    let task = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .doing(what)?;
        let done = runtime.block_on(async {
            tokio::select! {
                done = transfer => done,
                _ = nobody_waits => Err(Error::new(ExitCode::Cancelled, "given up")),
            }
        });
        runtime.shutdown_background();
        done
    });
    task.await.doing(what)?
}
