// SPDX-License-Identifier: Apache-2.0

package redis

// LeastRights are the ACL rules of a user who can do all that the engine does, with
// <prefix> for the prefix of Options:
//
//	ACL SETUSER gateway on >password <LeastRights>
//
// Without +info and +config|get Open cannot say what the server puts at risk. With Wait
// add +wait, with a database other than 0 +select, for a cluster +cluster|slots and
// +cluster|shards, and on servers with Sentinel the rights that Sentinel wants.
const LeastRights = "~{<prefix>}:* -@all +evalsha +eval +time +get +set +del +exists +type +zadd +zrem +zrange +zrangebyscore +zrangebylex " +
	"+zcard +zscan +sadd +srem +scard +smembers +srandmember +hget +hset +hincrby +xadd +xread +xrange +xtrim"
