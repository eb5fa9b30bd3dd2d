//! Messages of the wire to values, and back.
