/*
 * The part of libsrtp 3's API that the mediasoup worker calls, on top of the libsrtp 2 that Debian ships.
 *
 * libsrtp 3 differs in two ways: a policy is an opaque object filled by setters, and the packet functions take
 * separate input and output buffers with their sizes. libsrtp 2 has a public policy struct and works in place.
 * C++ overloads stand beside the C functions of the same name, so the worker's sources compile unchanged.
 *
 * This file has to come first on the include path: the worker includes <srtp.h>, Debian installs <srtp2/srtp.h>.
 */
#ifndef HANSETAG_SRTP3_OVER_SRTP2_H
#define HANSETAG_SRTP3_OVER_SRTP2_H

#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

// In libsrtp 3 the name srtp_policy_t is the opaque pointer, so the struct of libsrtp 2 gets another one.
#define srtp_policy_t srtp2_policy_t
#include <srtp2/srtp.h>
#undef srtp_policy_t

// Error codes that libsrtp 2 does not know, with the values of libsrtp 3.
constexpr srtp_err_status_t srtp_err_status_buffer_small = static_cast<srtp_err_status_t>(28);
constexpr srtp_err_status_t srtp_err_status_cryptex_err  = static_cast<srtp_err_status_t>(29);

struct srtp3_policy
{
	srtp2_policy_t v2{};
	// Master key followed by its salt, as libsrtp 2 expects them.
	unsigned char key[SRTP_MAX_KEY_LEN]{};
	srtp_profile_t profile{ srtp_profile_reserved };
	bool hasKey{ false };
};

using srtp_policy_t = srtp3_policy*;

inline srtp_err_status_t srtp_policy_create(srtp_policy_t* policy)
{
	*policy = new (std::nothrow) srtp3_policy();

	return *policy != nullptr ? srtp_err_status_ok : srtp_err_status_alloc_fail;
}

inline void srtp_policy_destroy(srtp_policy_t policy)
{
	if (policy != nullptr)
	{
		// Through a volatile pointer, so that wiping the key is not optimised away.
		volatile unsigned char* key = policy->key;

		for (size_t i = 0; i < sizeof(policy->key); ++i)
		{
			key[i] = 0;
		}
	}

	delete policy;
}

inline srtp_err_status_t srtp_policy_set_ssrc(srtp_policy_t policy, srtp_ssrc_t ssrc)
{
	policy->v2.ssrc = ssrc;

	return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_profile(srtp_policy_t policy, srtp_profile_t profile)
{
	const srtp_err_status_t err = srtp_crypto_policy_set_from_profile_for_rtp(&policy->v2.rtp, profile);

	if (err != srtp_err_status_ok)
	{
		return err;
	}

	policy->profile = profile;

	return srtp_crypto_policy_set_from_profile_for_rtcp(&policy->v2.rtcp, profile);
}

// One key without MKI, which is all that the worker uses. The lengths must be those of the profile: libsrtp 2 reads
// that many bytes without being told how many there are.
inline srtp_err_status_t srtp_policy_add_key(
  srtp_policy_t policy,
  const uint8_t* key,
  size_t keyLen,
  const uint8_t* salt,
  size_t saltLen,
  const uint8_t* /*mki*/,
  size_t mkiLen)
{
	if (
	  policy->profile == srtp_profile_reserved || policy->hasKey || mkiLen != 0 ||
	  keyLen != srtp_profile_get_master_key_length(policy->profile) ||
	  saltLen != srtp_profile_get_master_salt_length(policy->profile) || keyLen + saltLen > sizeof(policy->key))
	{
		return srtp_err_status_bad_param;
	}

	std::memcpy(policy->key, key, keyLen);
	std::memcpy(policy->key + keyLen, salt, saltLen);
	policy->hasKey = true;

	return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_allow_repeat_tx(srtp_policy_t policy, bool allow)
{
	policy->v2.allow_repeat_tx = allow ? 1 : 0;

	return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_window_size(srtp_policy_t policy, size_t size)
{
	policy->v2.window_size = size;

	return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_create(srtp_t* session, srtp_policy_t policy)
{
	if (!policy->hasKey)
	{
		return srtp_err_status_bad_param;
	}

	// libsrtp 2 copies what it needs of the policy and the key.
	policy->v2.key  = policy->key;
	policy->v2.next = nullptr;

	return srtp_create(session, static_cast<const srtp2_policy_t*>(&policy->v2));
}

inline srtp_err_status_t srtp_stream_remove(srtp_t session, uint32_t ssrc)
{
	return srtp_remove_stream(session, ssrc);
}

// Copies the packet into the output buffer and runs one of libsrtp 2's in-place functions on it.
//
// spare is the number of bytes the function may append. outLen is the size of the output buffer on entry and the
// length of the result on return. Input and output may be the same buffer.
inline srtp_err_status_t srtp3_in_place(
  srtp_err_status_t (*function)(srtp_t, void*, int*),
  srtp_t session,
  const uint8_t* in,
  size_t inLen,
  uint8_t* out,
  size_t* outLen,
  size_t spare)
{
	if (inLen > static_cast<size_t>(INT_MAX) - spare)
	{
		return srtp_err_status_bad_param;
	}

	if (*outLen < inLen + spare)
	{
		return srtp_err_status_buffer_small;
	}

	if (in != out)
	{
		std::memmove(out, in, inLen);
	}

	int len = static_cast<int>(inLen);
	const srtp_err_status_t err = function(session, out, &len);

	if (err == srtp_err_status_ok)
	{
		*outLen = static_cast<size_t>(len);
	}

	return err;
}

inline srtp_err_status_t srtp_protect(
  srtp_t session, const uint8_t* rtp, size_t rtpLen, uint8_t* srtp, size_t* srtpLen, size_t mkiIndex)
{
	return mkiIndex != 0 ? srtp_err_status_bad_mki
	                     : srtp3_in_place(srtp_protect, session, rtp, rtpLen, srtp, srtpLen, SRTP_MAX_TRAILER_LEN);
}

inline srtp_err_status_t srtp_protect_rtcp(
  srtp_t session, const uint8_t* rtcp, size_t rtcpLen, uint8_t* srtcp, size_t* srtcpLen, size_t mkiIndex)
{
	// SRTCP adds its four byte index to the trailer (RFC 3711 section 3.4).
	return mkiIndex != 0
	         ? srtp_err_status_bad_mki
	         : srtp3_in_place(
	             srtp_protect_rtcp, session, rtcp, rtcpLen, srtcp, srtcpLen, SRTP_MAX_TRAILER_LEN + sizeof(uint32_t));
}

inline srtp_err_status_t srtp_unprotect(
  srtp_t session, const uint8_t* srtp, size_t srtpLen, uint8_t* rtp, size_t* rtpLen)
{
	return srtp3_in_place(srtp_unprotect, session, srtp, srtpLen, rtp, rtpLen, 0);
}

inline srtp_err_status_t srtp_unprotect_rtcp(
  srtp_t session, const uint8_t* srtcp, size_t srtcpLen, uint8_t* rtcp, size_t* rtcpLen)
{
	return srtp3_in_place(srtp_unprotect_rtcp, session, srtcp, srtcpLen, rtcp, rtcpLen, 0);
}

#endif
