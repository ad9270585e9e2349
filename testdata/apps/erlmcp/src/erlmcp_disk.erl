%% @doc The space on the disk that the node runs on, looked up every half minute.
-module(erlmcp_disk).
-behaviour(gen_server).

-export([start_link/0, used/0, parse/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, handle_continue/2]).

-define(EVERY, 30000).

start_link() ->
    gen_server:start_link({via, erlmcp_registry, disk}, ?MODULE, [], []).

%% @doc How full it is, in per cent, or unknown.
used() ->
    gen_server:call({via, erlmcp_registry, disk}, used, 1000).

init([]) ->
    {ok, unknown, {continue, look}}.

handle_continue(look, _) ->
    erlang:send_after(?EVERY, self(), look),
    {noreply, parse(os:cmd("df -Pk . 2>/dev/null"))}.

handle_call(used, _From, Used) ->
    {reply, Used, Used}.

handle_cast(_, Used) ->
    {noreply, Used}.

handle_info(look, Used) ->
    {noreply, Used, {continue, look}};
handle_info(_, Used) ->
    {noreply, Used}.

%% @doc Reads what POSIX df says.
parse(Text) ->
    case re:run(Text, "\\s([0-9]+)%\\s", [{capture, all_but_first, list}]) of
        {match, [Percent]} -> list_to_integer(Percent);
        nomatch -> unknown
    end.
