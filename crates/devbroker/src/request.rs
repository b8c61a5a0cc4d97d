//! From the bytes of a request to the bytes of its answer.

use crate::{
    api,
    apis::{self, Api},
    errors::Code,
    node::Node,
    wire::{Malformed, Reader, Writer},
};
use bytes::Bytes;
use std::{net::SocketAddr, time::Instant};

/// A request whose header was read.
pub struct Request {
    pub api: &'static Api,
    pub version: i16,
    pub client_id: String,
    pub body: Reader,
    /// The address the client reached us by: what it is told to connect to.
    pub local: SocketAddr,
    pub peer: SocketAddr,
    pub received: Instant,
}

/// The two ends of a connection.
#[derive(Clone, Copy)]
pub struct Ends {
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

/// Answers one request. `None` where the client wants no answer (a produce request with `acks=0`).
pub async fn answer(node: &Node, frame: Bytes, ends: Ends) -> Result<Option<Vec<u8>>, Malformed> {
    let mut body = Reader::new(frame);
    let (key, version) = (body.i16()?, body.i16()?);
    let correlation = body.i32()?;
    let api = apis::find(key).ok_or(Malformed::Unknown { key, version })?;
    let mut writer = Writer::new();
    writer.i32(correlation);
    if !(api.min..=api.max).contains(&version) {
        // A newer client asks in its newest version first; any other request it sends knows what we can.
        if key != apis::API_VERSIONS {
            return Err(Malformed::Unknown { key, version });
        }
        api::versions::write(&mut writer, 0, Err(Code::UnsupportedVersion));
        return Ok(Some(writer.frame()));
    }
    let client_id = body.nullable_string()?.unwrap_or_default();
    let flexible = version >= api.flexible;
    body.set_flexible(flexible);
    body.tags()?;
    writer.set_flexible(flexible);
    if key != apis::API_VERSIONS {
        writer.tags();
    }
    let request =
        Request { api, version, client_id, body, local: ends.local, peer: ends.peer, received: Instant::now() };
    tracing::trace!(peer = %ends.peer, client = request.client_id, api = api.name, version, "request");
    Ok(dispatch(node, request, &mut writer).await?.then(|| writer.frame()))
}

/// Writes the answer, and says whether it is to be sent.
async fn dispatch(node: &Node, mut request: Request, writer: &mut Writer) -> Result<bool, Malformed> {
    let (request, w) = (&mut request, writer);
    match request.api.key {
        apis::PRODUCE => return api::produce::answer(node, request, w),
        apis::FETCH => api::fetch::answer(node, request, w).await?,
        apis::LIST_OFFSETS => api::list_offsets::answer(node, request, w)?,
        apis::OFFSET_FOR_LEADER_EPOCH => api::list_offsets::answer_leader_epoch(node, request, w)?,
        apis::METADATA => api::metadata::answer(node, request, w)?,
        apis::DESCRIBE_CLUSTER => api::metadata::answer_cluster(node, request, w)?,
        apis::FIND_COORDINATOR => api::metadata::answer_coordinator(request, w)?,
        apis::OFFSET_COMMIT => api::offsets::answer_commit(node, request, w)?,
        apis::OFFSET_FETCH => api::offsets::answer_fetch(node, request, w)?,
        apis::OFFSET_DELETE => api::offsets::answer_delete(node, request, w)?,
        apis::JOIN_GROUP => api::groups::answer_join(node, request, w).await?,
        apis::SYNC_GROUP => api::groups::answer_sync(node, request, w).await?,
        apis::HEARTBEAT => api::groups::answer_heartbeat(node, request, w)?,
        apis::LEAVE_GROUP => api::groups::answer_leave(node, request, w)?,
        apis::DESCRIBE_GROUPS => api::group_admin::answer_describe(node, request, w)?,
        apis::LIST_GROUPS => api::group_admin::answer_list(node, request, w)?,
        apis::DELETE_GROUPS => api::group_admin::answer_delete(node, request, w)?,
        apis::API_VERSIONS => api::versions::answer(request, w)?,
        apis::CREATE_TOPICS => api::topics::answer_create(node, request, w)?,
        apis::DELETE_TOPICS => api::topics::answer_delete(node, request, w)?,
        apis::CREATE_PARTITIONS => api::topics::answer_grow(node, request, w)?,
        apis::DELETE_RECORDS => api::topics::answer_delete_records(node, request, w)?,
        apis::DESCRIBE_CONFIGS => api::configs::answer_describe(node, request, w)?,
        apis::ALTER_CONFIGS => api::configs::answer_alter(node, request, w)?,
        apis::INCREMENTAL_ALTER_CONFIGS => api::configs::answer_alter_some(node, request, w)?,
        apis::INIT_PRODUCER_ID => api::transactions::answer_init(node, request, w)?,
        apis::ADD_PARTITIONS_TO_TXN => api::transactions::answer_add_partitions(node, request, w)?,
        apis::ADD_OFFSETS_TO_TXN => api::transactions::answer_add_offsets(node, request, w)?,
        apis::TXN_OFFSET_COMMIT => api::transactions::answer_offset_commit(node, request, w)?,
        apis::END_TXN => api::transactions::answer_end(node, request, w)?,
        key => return Err(Malformed::Unknown { key, version: request.version }),
    }
    Ok(true)
}
