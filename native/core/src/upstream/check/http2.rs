//! Questions over HTTP/2: `GET`, and the health protocol of gRPC (grpc.io, "GRPC Health Checking Protocol").

use super::{MAX_ANSWER, USER_AGENT, said};
use crate::protobuf;
use crate::upstream::UpstreamStream;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::uri::Uri;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};

use std::pin::pin;

/// `grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// Of a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The status of the answer; its body is left.
pub(super) async fn get(stream: UpstreamStream, tls: bool, host: &str, path: &str) -> Result<u16, String> {
    let request = request(Method::GET, tls, host, path)?;
    over(stream, async |mut sender| {
        let (response, _) = sender.send_request(request, true).map_err(|error| said(&error))?;
        response.await.map(|response| response.status().as_u16()).map_err(|error| said(&error))
    })
    .await
}

/// Ask for a service; empty: for the whole server.
pub(super) async fn grpc(stream: UpstreamStream, tls: bool, host: &str, service: &str) -> Result<(), String> {
    let mut request = request(Method::POST, tls, host, "/grpc.health.v1.Health/Check")?;
    let fields = request.headers_mut();
    fields.insert("content-type", HeaderValue::from_static("application/grpc"));
    fields.insert("te", HeaderValue::from_static("trailers"));
    over(stream, async |mut sender| {
        let (response, mut body) = sender.send_request(request, false).map_err(|error| said(&error))?;
        body.send_data(question(service), true).map_err(|error| said(&error))?;
        let response = response.await.map_err(|error| said(&error))?;
        judge(response).await
    })
    .await
}

fn request(method: Method, tls: bool, host: &str, path: &str) -> Result<Request<()>, String> {
    let scheme = if tls { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri.map_err(|error| said(&error))?;
    request.headers_mut().insert("user-agent", HeaderValue::from_static(USER_AGENT));
    Ok(request)
}

/// Use a connection for one exchange.
async fn over<T>(
    stream: UpstreamStream,
    exchange: impl AsyncFnOnce(SendRequest<Bytes>) -> Result<T, String>,
) -> Result<T, String> {
    let most = u32::try_from(MAX_ANSWER).unwrap_or(u32::MAX);
    let made = Builder::new().max_header_list_size(most).enable_push(false).handshake(stream).await;
    let (sender, connection) = made.map_err(|error| said(&error))?;

    let (mut connection, exchange) = (pin!(connection), pin!(exchange(sender)));
    tokio::select! {
        biased;
        done = exchange => done,
        ended = &mut connection => match ended {
            Ok(()) => Err("it closed the connection before an answer".to_owned()),
            Err(error) => Err(said(&error)),
        },
    }
}

fn question(service: &str) -> Bytes {
    let mut message = protobuf::Writer::default();
    message.bytes(1, service.as_bytes());
    protobuf::framed(&message.into_bytes()).into()
}

/// It serves: a status of 200, the message says so, and gRPC itself is content.
async fn judge(response: Response<h2::RecvStream>) -> Result<(), String> {
    let (head, mut body) = response.into_parts();
    if head.status != 200 {
        return Err(format!("status {}", head.status.as_u16()));
    }
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| said(&error))?;
        let _ = body.flow_control().release_capacity(piece.len());
        if message.len() + piece.len() > MAX_ANSWER {
            return Err("an answer without an end".to_owned());
        }
        message.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.map_err(|error| said(&error))?;
    let status = trailers.as_ref().and_then(grpc_status).or_else(|| grpc_status(&head.headers));
    if status != Some("0") {
        return Err(format!("gRPC status {}", status.unwrap_or("missing")));
    }
    match serving_status(&message) {
        Some(SERVING) => Ok(()),
        Some(other) => Err(format!("serving status {other}")),
        None => Err("what it answers is no message of the health protocol".to_owned()),
    }
}

fn grpc_status(fields: &HeaderMap) -> Option<&str> {
    fields.get("grpc-status")?.to_str().ok()
}

fn serving_status(framed: &[u8]) -> Option<u64> {
    let (prefix, message) = framed.split_at_checked(PREFIX)?;
    let fields = protobuf::read(message).filter(|_| prefix[0] == 0)?;
    let last = fields.iter().rev().find(|(number, _)| *number == 1);
    // What is 0 is left out.
    last.map_or(Some(0), |(_, value)| value.number())
}
