//! Contract: every example of the API description, sent literally, is answered as the
//! description says, with both databases.
//! (Being written.)
