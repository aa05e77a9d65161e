//! The signals that stop the server.

/// Listens from now on; ready at the first `SIGTERM` or `SIGINT`.
///
/// # Errors
/// When the system refuses to tell of signals.
#[cfg(unix)]
pub fn stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "asked to stop");
    })
}

/// Listens from now on; ready at the first Ctrl-C.
///
/// # Errors
/// Never; the shape is that of other systems.
#[cfg(not(unix))]
pub fn stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        let _asked = tokio::signal::ctrl_c().await;
        tracing::info!("asked to stop");
    })
}
