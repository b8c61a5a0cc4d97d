//! How the allocator shares memory among threads.

/// Lets all threads share two arenas of the C library's allocator, instead of up to eight for each core.
///
/// What a thread frees stays with its arena: a process whose threads take turns at large pieces of work, as `store` does, holds
/// the memory of all of them. To be called before there are threads. Does nothing with another C library.
pub fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        /// Of malloc.h.
        const M_ARENA_MAX: c_int = -8;
        // SAFETY: it takes two numbers, and sets one of the allocator's under its own lock.
        unsafe { mallopt(M_ARENA_MAX, 2) };
    }
}
