//! ApiVersions: what can be asked here. A client's first request.

use crate::{
    apis::APIS,
    errors::{Code, number},
    request::Request,
    wire::{Malformed, Writer},
};

pub fn answer(request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    if request.version >= 3 {
        let (_name, _version) = (request.body.string()?, request.body.string()?);
        request.body.tags()?;
    }
    write(w, request.version, Ok(()));
    Ok(())
}

pub fn write(w: &mut Writer, version: i16, result: Result<(), Code>) {
    w.i16(number(&result));
    w.array(&APIS, |w, api| {
        w.i16(api.key);
        w.i16(api.min);
        w.i16(api.max);
        w.tags();
    });
    if version >= 1 {
        w.i32(0);
    }
    w.tags();
}
