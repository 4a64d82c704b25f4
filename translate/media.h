/* media.h - the media type and the coding of a request's body. */
#ifndef TRANSLATE_MEDIA_H
#define TRANSLATE_MEDIA_H

#include <stdbool.h>

#include "base/fields.h"
#include "base/str.h"

/*
 * Is a Content-Type of that media type: without a charset, or with utf-8?
 * Case is ignored, other parameters are not looked at.
 */
bool media_is(struct str value, struct str type);

/* Is the body not coded (Content-Encoding absent or "identity")? */
bool media_is_identity(const struct fields *fields);

#endif
