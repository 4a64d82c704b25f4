/* fault.h - the sandbox server's error texts, classified. */
#ifndef TRANSLATE_FAULT_H
#define TRANSLATE_FAULT_H

#include "base/err.h"
#include "base/str.h"

/*
 * First match in the text decides.  Source: mitos-sandbox-server.md 2.13.
 *
 * code     Connect code as sent ("internal", ...); may be absent
 * message  its text
 * Returns E_SANDBOX_GONE, E_SLOTS, E_NOT_FOUND, E_PERMISSION, E_INVALID,
 * E_EXHAUSTED, E_TOO_BIG, E_UNIMPLEMENTED, E_BACKEND_DOWN, E_CANCELED,
 * E_DEADLINE, E_ALREADY_EXISTS, E_NO_SPACE, E_PRECONDITION, E_INTERNAL.
 */
enum err fault_classify(struct str code, struct str message);

/* The same of a whole unary answer: E_OK for status 200; the envelope of
 * REST answers ({"error":{..}}) and of Connect ({"code","message"}) are both
 * understood; what is neither is E_BACKEND_GARBAGE. */
enum err fault_of_answer(int status, struct str body);

/* errno in an "(os error N)" tail, 0 if none. */
int fault_errno(struct str message);

/* Connect's word for err ("not_found", ...): for end frames and unary
 * bodies; "internal" for what has no word of its own. */
const char *fault_connect_code(enum err err);

/* HTTP status of a Connect unary answer with that err. */
int fault_connect_status(enum err err);

#endif
